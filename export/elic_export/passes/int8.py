"""Convert layers of a graph to int8: QuantizeLinear and DequantizeLinear around convolutions, as compilers expect them.

Activations become uint8 with one scale per tensor, weights int8 with one scale per output channel. ONNX Runtime's own
quantizer is not used: it replaces a tensor for every reader, and so rounds the sums of residual blocks to 8 bits. With
all layers but the upsampling ones in 8 bits, g_s then loses 0.77 to 0.91 dB, and here 0.14 dB.

Each tensor's range is that share of minimum to maximum which has the least error to the fourth power. Of all layers of
g_s but three of the upsampling ones, this costs 0.10 dB; squared errors cut off too much of the sums of residual
blocks, and with the whole range or with the 99.99th percentile it is 0.27 dB and 2.5 dB.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from elic_runtime.runners import Arrays, Runner
from numpy.typing import NDArray

from elic_export.errors import ExportError
from elic_export.graphs.costs import layer_multiply_adds
from elic_export.passes.exported import load_graph

Range = tuple[float, float]
"""Smallest and largest value of a tensor."""

_CONVOLUTIONS = {"Conv": 0, "ConvTranspose": 1}
"""Operators of layers, and the axis of the output channels in their weights."""

_LARGEST_INT8, _LARGEST_UINT8, _LARGEST_INT32 = 127, 255, 2**31 - 1

SHARES = (1.0, 0.85, 0.7, 0.6, 0.5)
"""Shares of a tensor's range that may hold all but its rarest values."""

NARROWED = 2
"""The shares are chosen on every second input. What only few inputs reach is often beyond them."""

_SMALLEST_SCALE = 1e-12
"""Scale of a channel or tensor of zeros."""


@dataclass(frozen=True)
class Layer:
    """A convolution, and the tensors that hold 8 bits if it does.

    Parameters
    ----------
    name : str
        Name of the PyTorch module in the model, such as `g_a.1.conv1`.
    node : str
        Name of the node.
    source : str
        The tensor that it reads.
    result : str, optional
        The tensor that it gives, after its ReLU if it has one. None if that is an output of the graph: such a tensor is
        not rounded, so that the layer stays in floating point.

    """

    name: str
    node: str
    source: str
    result: str | None


@dataclass(frozen=True)
class LayerRange:
    """Ranges of what a layer reads and gives.

    Parameters
    ----------
    source, result : tuple of float
        Smallest and largest value.

    """

    source: Range
    result: Range


def layers_of(name: str, graph: onnx.ModelProto) -> list[Layer]:
    """Return the convolutions of a transform, in order.

    Parameters
    ----------
    name : str
        Name of the subgraph.
    graph : ModelProto
        The graph.

    """
    outputs = {value.name for value in graph.graph.output}
    readers = _readers(graph)
    layers = []
    for node in graph.graph.node:
        if node.op_type not in _CONVOLUTIONS:
            continue
        (result,) = node.output
        if [reader.op_type for reader in readers.get(result, [])] == ["Relu"]:
            result = readers[result][0].output[0]
        weight = node.input[1].removesuffix(".weight")
        module = weight if weight.startswith(_PREFIXES) else f"{_MODULES.get(name, name)}.{weight}"
        layers.append(Layer(module, node.name, node.input[0], None if result in outputs else result))
    return layers


_PREFIXES = ("g_a.", "h_a.", "g_s.")
"""What the names of weights start with in graphs of several transforms."""

_MODULES = {"g_s_0": "g_s", "g_s_1": "g_s"}
"""The module of the model that a subgraph is a part of."""


def multiply_adds(name: str, graph: onnx.ModelProto) -> dict[str, int]:
    """Return the multiplications of each layer, for one image.

    Parameters
    ----------
    name : str
        Name of the subgraph.
    graph : ModelProto
        The graph, of a fixed shape.

    """
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.graph.input}
    counts = layer_multiply_adds(graph, shapes)
    results = {node.name: node.output[0] for node in graph.graph.node}
    return {layer.name: counts[results[layer.node]] for layer in layers_of(name, graph)}


def observe(name: str, graph: onnx.ModelProto, inputs: Sequence[Arrays]) -> dict[str, LayerRange]:
    """Run a graph, and return the ranges of its layers.

    Parameters
    ----------
    name : str
        Name of the subgraph.
    graph : ModelProto
        The graph.
    inputs : sequence of dict of ndarray
        Inputs by name.

    Returns
    -------
    dict of str to LayerRange
        Ranges by layer, of layers that can be converted.

    Raises
    ------
    ExportError
        If a tensor is not finite, or there are no inputs.

    """
    layers = [layer for layer in layers_of(name, graph) if layer.result is not None]
    if not layers:
        return {}
    run = _watch(name, graph, {tensor for layer in layers for tensor in (layer.source, layer.result) if tensor})
    ends = _ends(run(given) for given in inputs)
    if not ends:
        raise ExportError("int8 needs at least one photograph to measure ranges on")
    if not np.isfinite(list(ends.values())).all():
        raise ExportError(f"{name}: computes values that are not finite")
    found = _narrowed(ends, (run(given) for given in inputs[::NARROWED]))
    return {layer.name: LayerRange(found[layer.source], found[layer.result]) for layer in layers if layer.result}


def _watch(name: str, graph: onnx.ModelProto, tensors: set[str]) -> Runner:
    """Return a runner that gives inner tensors of a graph, and its inputs."""
    given = {value.name for value in graph.graph.input}
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    watched.graph.ClearField("output")
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(tensor) for tensor in sorted(tensors - given))
    run = load_graph(name, watched)
    return lambda inputs: inputs | run(inputs)


def _ends(runs: Iterable[Arrays]) -> dict[str, Range]:
    """Return the smallest and the largest value of each tensor, or 0 if that is beyond."""
    found: dict[str, Range] = {}
    for tensors in runs:
        for tensor, values in tensors.items():
            low, high = found.get(tensor, (0.0, 0.0))
            found[tensor] = min(low, float(values.min())), max(high, float(values.max()))
    return found


def _narrowed(ends: dict[str, Range], runs: Iterable[Arrays]) -> dict[str, Range]:
    """Narrow each range to that share of it which gives the least error of the tensor, to the fourth power."""
    errors = {tensor: np.zeros(len(SHARES)) for tensor in ends}
    for tensors in runs:
        for tensor, values in tensors.items():
            errors[tensor] += [_fourth_power(values, ends[tensor], share) for share in SHARES]
    return {tensor: _scaled(ends[tensor], SHARES[int(errors[tensor].argmin())]) for tensor in ends}


def _scaled(ends: Range, share: float) -> Range:
    return share * ends[0], share * ends[1]


def _fourth_power(values: NDArray[np.float32], ends: Range, share: float) -> float:
    scale, zero = _uint8_parameters(_scaled(ends, share))
    rounded = np.rint(values / scale)
    np.clip(rounded, -np.float32(zero), np.float32(_LARGEST_UINT8 - zero), out=rounded)
    rounded *= scale
    rounded -= values
    rounded /= scale  # so that the fourth power is a float32
    squares = np.square(rounded, out=rounded)
    return float(np.square(squares, out=squares).sum(dtype=np.float64)) * float(scale) ** 4


def _uint8_parameters(ends: Range) -> tuple[np.float32, int]:
    """Return the scale and the zero point of a range."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    scale = np.float32(max((high - low) / _LARGEST_UINT8, _SMALLEST_SCALE))
    return scale, int(np.clip(np.rint(-low / scale), 0, _LARGEST_UINT8))


def to_int8(name: str, graph: onnx.ModelProto, ranges: dict[str, LayerRange]) -> onnx.ModelProto:
    """Convert layers of a graph to int8.

    Parameters
    ----------
    name : str
        Name of the subgraph.
    graph : ModelProto
        The graph, which stays as it is.
    ranges : dict of str to LayerRange
        The layers to convert, with their ranges. Layers that the graph does not have are ignored.

    Returns
    -------
    ModelProto
        The converted graph. Its inputs and outputs stay in float32.

    """
    chosen = [layer for layer in layers_of(name, graph) if layer.name in ranges and layer.result is not None]
    return _Int8(graph, chosen, ranges).run()


class _Int8:
    def __init__(self, graph: onnx.ModelProto, layers: Sequence[Layer], ranges: dict[str, LayerRange]) -> None:
        self.graph = graph
        self.layers = {layer.node: layer for layer in layers}
        self.read = {layer.source: ranges[layer.name].source for layer in layers}
        self.given = {layer.result: ranges[layer.name].result for layer in layers if layer.result}
        self.weights = {tensor.name: tensor for tensor in graph.graph.initializer}
        self.added: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.scales: dict[str, np.float32] = {}

    def run(self) -> onnx.ModelProto:
        for value in self.graph.graph.input:
            self._round(value.name)
        for original in self.graph.graph.node:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            if node.name in self.layers:
                self._convert(node)
            else:
                node.input[:] = [_rounded(tensor) if tensor in self.given else tensor for tensor in node.input]
            self.nodes.append(node)
            for tensor in node.output:
                self._round(tensor)
        return self._assemble()

    def _assemble(self) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self.graph)
        used = {tensor for node in self.nodes for tensor in node.input}
        for field in ("node", "initializer", "value_info"):
            model.graph.ClearField(field)
        model.graph.node.extend(self.nodes)
        model.graph.initializer.extend(t for t in (*self.weights.values(), *self.added) if t.name in used)
        return model

    def _round(self, tensor: str) -> None:
        """Round a tensor to 8 bits, for those that read it so."""
        known = self.given.get(tensor) or self.read.get(tensor)
        if known is None:
            return
        scale, zero = _uint8_parameters(known)
        self.scales[tensor] = scale
        quantized, parameters = f"{tensor}_uint8", [f"{tensor}_scale", f"{tensor}_zero_point"]
        self._add(parameters[0], scale)
        self._add(parameters[1], np.uint8(zero))
        for operator, taken, given in (
            ("QuantizeLinear", tensor, quantized),
            ("DequantizeLinear", quantized, _rounded(tensor)),
        ):
            node = onnx.helper.make_node(operator, [taken, *parameters], [given], f"{tensor}/{operator}")
            self.nodes.append(node)

    def _convert(self, node: onnx.NodeProto) -> None:
        source, weight, *bias = node.input
        axis = _CONVOLUTIONS[node.op_type]
        values: NDArray[np.float32] = onnx.numpy_helper.to_array(self.weights[weight])
        others = tuple(i for i in range(values.ndim) if i != axis)
        scales = np.maximum(np.abs(values).max(others) / _LARGEST_INT8, _SMALLEST_SCALE).astype(np.float32)
        node.input[0] = _rounded(source)
        node.input[1] = self._constant(weight, values, scales, axis, np.int8, _LARGEST_INT8)
        if bias:
            offsets: NDArray[np.float32] = onnx.numpy_helper.to_array(self.weights[bias[0]])
            sums = (scales * self.scales[source]).astype(np.float32)
            node.input[2] = self._constant(bias[0], offsets, sums, 0, np.int32, _LARGEST_INT32)

    def _constant(
        self, name: str, values: NDArray[np.float32], scales: NDArray[np.float32], axis: int, dtype: type, largest: int
    ) -> str:
        """Add integers in place of weights, and return the name of the tensor that they become."""
        along = scales.reshape([-1 if i == axis else 1 for i in range(values.ndim)]).astype(np.float64)
        integers = np.clip(np.rint(values / along), -largest, largest).astype(dtype)
        quantized = f"{name}_{np.dtype(dtype)}"
        self._add(quantized, integers)
        self._add(f"{name}_scale", scales)
        self._add(f"{name}_zero_point", np.zeros(len(scales), dtype))
        taken = [quantized, f"{name}_scale", f"{name}_zero_point"]
        operator = "DequantizeLinear"
        self.nodes.append(onnx.helper.make_node(operator, taken, [_rounded(name)], f"{name}/{operator}", axis=axis))
        return _rounded(name)

    def _add(self, name: str, value: NDArray[np.generic] | np.generic) -> None:
        self.added.append(onnx.numpy_helper.from_array(np.asarray(value), name))


def _rounded(tensor: str) -> str:
    return f"{tensor}_rounded"


def _readers(graph: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.graph.node:
        for tensor in node.input:
            readers.setdefault(tensor, []).append(node)
    return readers
