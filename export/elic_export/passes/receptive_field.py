"""How far around a position a graph looks, walked through its kernels, strides and dilations by running it.

A copy of the graph computes which positions depend on which: weights are ones, activations stay between 0 and 1, and
what computes each value on its own is left out. A row of ones in an input then lights up the rows of the outputs that
depend on it. This tells a runtime by how much windows of a larger image must overlap.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from elic_runtime.entries import Reach
from elic_runtime.runners import Arrays, Runner

from elic_export.errors import ExportError
from elic_export.passes.exported import load_graph

PROBE = 448
"""Height and width in pixels at which a graph is run, if it may have another shape than its own: g_a sees 132 pixels to
each side."""

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_MOVES = frozenset(
    {"Reshape", "Transpose", "Slice", "Split", "Concat", "Pad", "DepthToSpace", "SpaceToDepth", "Unsqueeze", "Squeeze"}
)
"""Operators that move values and change none."""

_BOUND = frozenset({"Reshape", "Slice"})
"""Operators whose constants may hold the sizes of one shape."""

_ALONE = frozenset(
    {"Relu", "Sigmoid", "Floor", "Round", "Clip", "Cast", "Neg", "Sqrt", "Abs", "Exp", "Log", "Identity"}
)
"""Operators that compute each value from one value."""

_TOGETHER = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"})
"""Operators that compute each value from two values at the same position."""


def reach(name: str, graph: onnx.ModelProto, strides: Mapping[str, tuple[int, int]]) -> Reach | None:
    """Measure the receptive field of a graph.

    Parameters
    ----------
    name : str
        Name of the subgraph, for error messages.
    graph : ModelProto
        The graph in float32.
    strides : dict of str to tuple of int
        Pixels of the image per position of each input and output, from top to bottom and from left to right.

    Returns
    -------
    Reach or None
        The largest distances over all outputs and inputs. None if the graph's own shape, which it cannot leave, is too
        small to see them.

    Raises
    ------
    ExportError
        If the graph contains an operator that is not known here.

    """
    return _Field(name, graph, strides).measure()


class _Field:
    def __init__(self, name: str, graph: onnx.ModelProto, strides: Mapping[str, tuple[int, int]]) -> None:
        structure, self.strides = _structure(name, graph), strides
        self.own = {value.name: _open(value, structure) for value in structure.graph.input}
        self.run: Runner = load_graph(name, structure)
        self.cut_off = False

    def measure(self) -> Reach | None:
        """Light up one row, or one column, at a time."""
        found = []
        for axis in (0, 1):
            period = max(stride[axis] for stride in self.strides.values())
            shapes = {name: self._shape(name, axis) for name in self.own}
            pairs = [
                self._seen(shapes, name, axis, period, index)
                for name, shape in shapes.items()
                for index in _one_period(shape[2 + axis], period // self.strides[name][axis])
            ]
            found += [max(0, *(before for before, _ in pairs)), max(0, *(after for _, after in pairs))]
        sides = dict(zip(("top", "bottom", "left", "right"), found, strict=True))
        return None if self.cut_off else Reach(**sides)

    def _shape(self, name: str, axis: int) -> list[int]:
        """Return the shape to run an input at: long in one direction, and as narrow as can be in the other."""
        batch, channels, *own = self.own[name]
        sizes = [size // stride for size, stride in zip(_ALONG[axis], self.strides[name], strict=True)]
        return [batch or 1, channels, *(size or free for size, free in zip(own, sizes, strict=True))]

    def _seen(self, shapes: dict[str, list[int]], name: str, axis: int, period: int, index: int) -> tuple[int, int]:
        """Return how far before and after their own pixels outputs see one row or column of an input, in pixels."""
        given: Arrays = {other: np.zeros(shape, np.float32) for other, shape in shapes.items()}
        given[name][(slice(None),) * (2 + axis) + (index,)] = 1
        first, last = index * self.strides[name][axis], (index + 1) * self.strides[name][axis]
        before = after = 0
        for output, values in self.run(given).items():
            lit = np.flatnonzero(values.any(tuple(i for i in range(4) if i != 2 + axis)))
            if len(lit):
                self.cut_off |= lit[0] == 0 or lit[-1] == values.shape[2 + axis] - 1
                pace = self.strides[output][axis]
                before = max(before, int(lit[-1]) * pace // period * period - first)
                after = max(after, last - -(-(int(lit[0]) + 1) * pace // period) * period)
        return before, after


_ALONG = ((PROBE, 64), (64, PROBE))
"""Pixels from top to bottom and from left to right, to measure rows and columns."""


def _one_period(size: int, count: int) -> range:
    """Return the positions of one period in the middle of an axis."""
    middle = size // 2 // count * count
    return range(middle, min(middle + count, size))


def _open(value: onnx.ValueInfoProto, structure: onnx.ModelProto) -> list[int]:
    """Open the height and width of an input, if the graph may have any; return its sizes, 0 for those that are open."""
    dims = value.type.tensor_type.shape.dim
    sizes = [dim.dim_value for dim in dims]
    if not any(node.op_type in _BOUND for node in structure.graph.node):
        sizes[2:] = 0, 0
        for dim in dims[2:]:
            dim.Clear()
    return sizes


def _structure(name: str, graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that computes what depends on what."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    inner = model.graph
    weights = {tensor.name: tensor for tensor in inner.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in inner.node:
        nodes += _replacement(name, node, weights)
    for tensor, value in (("_low", 0.0), ("_high", 1.0)):
        inner.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), tensor))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    used = {tensor for node in kept for tensor in node.input}
    constants = [onnx.TensorProto.FromString(t.SerializeToString()) for t in inner.initializer if t.name in used]
    for field in ("node", "initializer", "value_info"):
        inner.ClearField(field)
    inner.node.extend(kept)
    inner.initializer.extend(constants)
    for value in inner.output:
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.Clear()
    return model


def _replacement(name: str, node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> list[onnx.NodeProto]:
    kind, (output, *_) = node.op_type, node.output
    variable = [tensor for tensor in node.input if tensor and tensor not in weights]
    if kind in _MOVES:
        return [node]
    if kind in _CONVOLUTIONS:
        values = onnx.numpy_helper.to_array(weights[node.input[1]])
        weights[node.input[1]].CopyFrom(onnx.numpy_helper.from_array((values != 0).astype(np.float32), node.input[1]))
        sums = onnx.NodeProto()
        sums.CopyFrom(node)
        sums.input[:] = node.input[:2]
        sums.output[:] = [f"{output}_sum"]
        return [sums, onnx.helper.make_node("Clip", [f"{output}_sum", "_low", "_high"], [output])]
    if kind in _ALONE or (kind in _TOGETHER and len(variable) == 1):
        return [onnx.helper.make_node("Identity", variable[:1], [output])]
    if kind in _TOGETHER:
        return [onnx.helper.make_node("Max", variable, [output])]
    raise ExportError(f"{name}: node {node.name!r} is {kind}, whose receptive field is not known")
