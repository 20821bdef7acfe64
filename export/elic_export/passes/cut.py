"""A graph in two, at a node: for compilers that take it in parts only."""

import copy
import difflib

import onnx

from elic_export.errors import ExportError


def cut_graph(graph: onnx.ModelProto, after: str, tensor: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The part of a graph that leads to the output of one node, and the rest.

    after: the node's name. tensor: what its output is to be called, the only thing that goes from part to part.
    Raises ExportError: no such node, it is the last one, or other tensors go around it.
    """
    producer = {name: node for node in graph.graph.node for name in node.output}
    node = next((node for node in graph.graph.node if node.name == after), None)
    if node is None:
        near = difflib.get_close_matches(after, [n.name for n in graph.graph.node], 3, 0.5)
        hint = f": near it are {', '.join(near)}" if near else ""
        raise ExportError(f"no node {after!r} to cut the graph after{hint}")
    first = {id(n) for n in _leading_to(node, producer)}
    rest = [n for n in graph.graph.node if id(n) not in first]
    made = {name for n in graph.graph.node if id(n) in first for name in n.output}
    inputs = {value.name for value in graph.graph.input}
    around = sorted({name for n in rest for name in n.input} & (made | inputs) - {node.output[0]})
    ends = {value.name for value in graph.graph.output}
    if not rest or made & ends:
        raise ExportError(f"nothing of the graph is left after the node {after!r}")
    if around:
        raise ExportError(f"the graph cannot be cut after {after!r}: {', '.join(around[:3])} would go around it")
    boundary = node.output[0]
    parts = (
        _part(graph, [n for n in graph.graph.node if id(n) in first], [v.name for v in graph.graph.input], [boundary]),
        _part(graph, rest, [boundary], [v.name for v in graph.graph.output]),
    )
    for part in parts:
        rename_tensors(part, {boundary: tensor})
    return parts


def rename_tensors(graph: onnx.ModelProto, names: dict[str, str]) -> None:
    """Give tensors other names, in place. Raises ExportError if one is taken."""
    taken = {name for node in graph.graph.node for name in (*node.input, *node.output)}
    for old, new in names.items():
        if new in taken and new != old:
            raise ExportError(f"{old} cannot be renamed: the graph has another tensor called {new}")
    for node in graph.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        value.name = names.get(value.name, value.name)


def _leading_to(node: onnx.NodeProto, producer: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    found: dict[int, onnx.NodeProto] = {}
    pending = [node]
    while pending:
        current = pending.pop()
        if id(current) not in found:
            found[id(current)] = current
            pending += [producer[name] for name in current.input if name in producer]
    return list(found.values())


def _part(
    graph: onnx.ModelProto, nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str]
) -> onnx.ModelProto:
    """Some nodes of a graph with the weights that they use."""
    used = {name for node in nodes for name in node.input}
    known = {value.name: value for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info)}
    part = onnx.ModelProto()
    part.CopyFrom(graph)
    for field in ("node", "initializer", "input", "output", "value_info"):
        part.graph.ClearField(field)
    part.graph.node.extend(copy.deepcopy(nodes))
    part.graph.initializer.extend(tensor for tensor in graph.graph.initializer if tensor.name in used)
    for field, names in ((part.graph.input, inputs), (part.graph.output, outputs)):
        field.extend(known[name] if name in known else onnx.ValueInfoProto(name=name) for name in names)
    return part
