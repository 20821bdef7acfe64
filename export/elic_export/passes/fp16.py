"""A graph in fp16, all of it or some nodes, with casts where fp16 begins and ends.

Not by onnxruntime's converter: it hands what stays in fp32 from node to node through
fp16, where a likelihood of 1e-9 is 0.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from elic_export.errors import ExportError

TRANSFORMS = ("/g_a/", "/h_a/", "/g_s/")
"""Where the nodes of no_entropy's transforms are, by the names of their modules."""

CONTEXT = ("/h_s/", "/anchors.", "/nonanchors.")

LIKELIHOODS = frozenset({"y_likelihoods", "z_likelihoods"})
"""Outputs that are in fp32 even where the others are in fp16, which has nothing below 6e-8."""

SINGLE, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def to_half(
    graph: onnx.ModelProto, within: tuple[str, ...], *, fp16_tensors: bool, in_fp32: frozenset[str]
) -> onnx.ModelProto:
    """The graph with weights and activations in fp16.

    graph: whose activations are all float, as those of a graph without shape arithmetic are.
    within: prefixes of the names of the nodes that it is for; all, if there are none.
    fp16_tensors: inputs and outputs too, but for those named in `in_fp32`; otherwise they stay in fp32 and are cast.
    Raises ExportError for a weight beyond fp16's largest, 65504, or if there are no such nodes.
    """
    if within and not any(node.name.startswith(within) for node in graph.graph.node):
        raise ExportError(f"no node of the graph is in {', '.join(within)}: nothing would be in fp16")
    return _Half(graph, within, HALF if fp16_tensors else SINGLE, in_fp32).run()


class _Half:
    def __init__(self, graph: onnx.ModelProto, within: tuple[str, ...], boundary: int, in_fp32: frozenset[str]) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(graph)
        self.within = within
        self.boundaries = {
            value.name: SINGLE if value.name in in_fp32 else boundary
            for value in (*graph.graph.input, *graph.graph.output)
        }
        self.weights = {tensor.name: tensor for tensor in graph.graph.initializer}
        self.kinds = {value.name: self.boundaries[value.name] for value in graph.graph.input}
        self.nodes: list[onnx.NodeProto] = []
        self.added: dict[str, onnx.TensorProto] = {}
        self.casts: dict[tuple[str, int], str] = {}

    def run(self) -> onnx.ModelProto:
        graph = self.model.graph
        for node in graph.node:
            kind = HALF if not self.within or node.name.startswith(self.within) else SINGLE
            node.input[:] = [self._as(name, kind) for name in node.input]
            self.kinds |= dict.fromkeys(node.output, kind)
            self.nodes.append(node)
        for value in graph.output:
            self._finish_output(value.name)
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in self.nodes]
        used = {name for node in nodes for name in node.input}
        weights = [*self.weights.values(), *self.added.values()]
        for field in ("node", "initializer", "value_info"):
            graph.ClearField(field)
        graph.node.extend(nodes)
        graph.initializer.extend(tensor for tensor in weights if tensor.name in used)
        for value in (*graph.input, *graph.output):
            value.type.tensor_type.elem_type = self.boundaries[value.name]
        return self.model

    def _as(self, name: str, kind: int) -> str:
        """The tensor that is this one in `kind`."""
        if name in self.weights:
            tensor = self.weights[name]
            return self._half_weight(tensor) if kind == HALF and tensor.data_type == SINGLE else name
        if not name or self.kinds[name] == kind:
            return name
        if (name, kind) not in self.casts:
            self.casts[name, kind] = cast = f"{name}_as_{'fp16' if kind == HALF else 'fp32'}"
            self.nodes.append(onnx.helper.make_node("Cast", [name], [cast], f"{cast}/Cast", to=kind))
        return self.casts[name, kind]

    def _half_weight(self, tensor: onnx.TensorProto) -> str:
        name = f"{tensor.name}_fp16"
        if name not in self.added:
            values: NDArray[np.float32] = onnx.numpy_helper.to_array(tensor)
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            if not np.isfinite(half).all():
                raise ExportError(f"{tensor.name}: holds {np.abs(values).max():.3g}, beyond what fp16 can")
            self.added[name] = onnx.numpy_helper.from_array(half, name)
        return name

    def _finish_output(self, name: str) -> None:
        """The node that gives it gives another tensor, which is cast to it."""
        if self.kinds[name] == self.boundaries[name]:
            return
        inner = f"{name}_inner"
        for node in self.nodes:
            node.input[:] = [inner if tensor == name else tensor for tensor in node.input]
            node.output[:] = [inner if tensor == name else tensor for tensor in node.output]
        self.nodes.append(onnx.helper.make_node("Cast", [inner], [name], f"{name}/Cast", to=self.boundaries[name]))
