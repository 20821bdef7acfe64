"""Cut a graph in two at a node, for compilers that take large graphs in parts only."""

import difflib

import onnx
import onnx.utils

from elic_export.errors import ExportError


def cut_graph(graph: onnx.ModelProto, after: str, tensor: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Cut a graph after a node, so that one tensor alone goes from the first part to the second.

    Parameters
    ----------
    graph : ModelProto
        The graph to cut. It stays as it is.
    after : str
        Name of the last node of the first part.
    tensor : str
        New name of that node's output, which links the two parts. Neither part declares its type or shape.

    Returns
    -------
    tuple of ModelProto
        The part that computes the tensor, and the part that continues from it.

    Raises
    ------
    ExportError
        If there is no such node, if it is the last one, if the second part needs another tensor of the first, or if
        the graph already has a tensor of that name.

    """
    nodes = {node.name: node for node in graph.graph.node}
    if after not in nodes:
        near = difflib.get_close_matches(after, list(nodes), 3, 0.5)
        hint = f": near it are {', '.join(near)}" if near else ""
        raise ExportError(f"no node {after!r} to cut the graph after{hint}")
    boundary = nodes[after].output[0]
    inputs = [value.name for value in graph.graph.input]
    outputs = [value.name for value in graph.graph.output]
    parts = _extract(graph, inputs, boundary, outputs)
    computed = {name for node in parts[0].graph.node for name in node.output}
    if computed & set(outputs):
        raise ExportError(f"nothing of the graph is left after the node {after!r}")
    # Extractor follows whatever goes around the boundary back to nodes of the first part, and repeats those.
    rest = [node for node in parts[1].graph.node if not computed.intersection(node.output)]
    around = sorted({name for node in rest for name in node.input} & computed.union(inputs) - {boundary})
    if around:
        raise ExportError(f"the graph cannot be cut after {after!r}: {', '.join(around[:3])} would go around it")
    for part in parts:
        rename_tensors(part, {boundary: tensor})
    return parts


def _extract(
    graph: onnx.ModelProto, inputs: list[str], boundary: str, outputs: list[str]
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Extract the nodes from the inputs to the boundary, and those from there to the outputs, with their weights."""
    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    # Extractor takes only tensors that are declared. A name is enough; a size that was inferred where H and W are
    # open could be the traced one, so no part keeps any.
    whole.graph.value_info.append(onnx.ValueInfoProto(name=boundary))
    extractor = onnx.utils.Extractor(whole)
    parts = extractor.extract_model(inputs, [boundary]), extractor.extract_model([boundary], outputs)
    for part in parts:
        part.graph.name = graph.graph.name  # Extractor's own has spaces and braces
        del part.graph.value_info[:]
    return parts


def rename_tensors(graph: onnx.ModelProto, names: dict[str, str]) -> None:
    """Rename tensors of a graph in place.

    Parameters
    ----------
    graph : ModelProto
        The graph to change.
    names : dict of str to str
        New names by old ones. Old names that the graph does not have are ignored.

    Raises
    ------
    ExportError
        If the graph already has another tensor of a new name.

    """
    taken = {name for node in graph.graph.node for name in (*node.input, *node.output)}
    for old, new in names.items():
        if new in taken and new != old:
            raise ExportError(f"{old} cannot be renamed: the graph has another tensor called {new}")
    for node in graph.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        value.name = names.get(value.name, value.name)
