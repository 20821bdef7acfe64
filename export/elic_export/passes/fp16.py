"""Convert a graph, or some of its nodes, to fp16, with casts at the borders.

onnxruntime's converter is not used, since it also casts tensors between nodes that stay in fp32 to fp16 and back,
which turns a likelihood of 1e-9 to 0.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from elic_export.errors import ExportError

TRANSFORMS = ("/g_a/", "/h_a/", "/g_s/")
"""Prefixes of the names of nodes in the transforms of no_entropy."""

CONTEXT = ("/h_s/", "/anchors.", "/nonanchors.")
"""Prefixes of the names of nodes in h_s and the context model of no_entropy."""

LIKELIHOODS = frozenset({"y_likelihoods", "z_likelihoods"})
"""Outputs that stay in fp32, since the smallest positive number of fp16 is 6e-8."""

SINGLE, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def to_half(
    graph: onnx.ModelProto, within: tuple[str, ...], *, fp16_tensors: bool, in_fp32: frozenset[str]
) -> onnx.ModelProto:
    """Convert the weights and activations of a graph to fp16.

    Parameters
    ----------
    graph : ModelProto
        The graph, which stays as it is. All of its activations must be float, as they are without shape arithmetic.
    within : tuple of str
        Prefixes of the names of the nodes to convert. An empty tuple is for all nodes.
    fp16_tensors : bool
        Whether inputs and outputs become fp16 too. Otherwise they stay in fp32, and are cast.
    in_fp32 : frozenset of str
        Names of inputs and outputs that stay in fp32 in any case.

    Returns
    -------
    ModelProto
        The converted graph.

    Raises
    ------
    ExportError
        If no node has such a name, or if a weight is larger than fp16 can hold, 65504.

    """
    if within and not any(node.name.startswith(within) for node in graph.graph.node):
        raise ExportError(f"the graph has no nodes in {', '.join(within)}, so nothing would become fp16")
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
        """Return the name of a tensor that holds the same values in `kind`; add a cast where there is none yet."""
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
                raise ExportError(f"{tensor.name}: contains {np.abs(values).max():.3g}, more than fp16 can hold")
            self.added[name] = onnx.numpy_helper.from_array(half, name)
        return name

    def _finish_output(self, name: str) -> None:
        """Cast an output that is computed in another precision, whose uncast tensor gets another name."""
        if self.kinds[name] == self.boundaries[name]:
            return
        inner = f"{name}_inner"
        for node in self.nodes:
            node.input[:] = [inner if tensor == name else tensor for tensor in node.input]
            node.output[:] = [inner if tensor == name else tensor for tensor in node.output]
        self.nodes.append(onnx.helper.make_node("Cast", [inner], [name], f"{name}/Cast", to=self.boundaries[name]))
