"""What a graph costs: the multiply-adds of its convolutions and matrix products, and the parameters that these read.

Everything else in a graph is one operation for each value, or moves values.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

_PASSED_ON = frozenset({"DequantizeLinear", "Cast", "Identity"})
"""Operators through which a weight reaches its layer."""


@dataclass(frozen=True)
class Cost:
    """What a graph costs.

    Parameters
    ----------
    multiply_adds : int
        Multiplications by a weight, or by another operand of a matrix product, each of which is added to a sum; those
        of the zeros that pad a tensor too.
    parameters : int
        Numbers in weights and biases; those that several layers share are counted once.

    """

    multiply_adds: int
    parameters: int


def graph_cost(graph: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> Cost:
    """Count what a graph computes and holds.

    Parameters
    ----------
    graph : ModelProto
        The graph, with its weights in it.
    shapes : mapping of str to sequence of int
        Shapes of its inputs by name, open dimensions replaced by numbers.

    """
    nodes = [node for node in graph.graph.node if node.op_type in _LAYERS]
    return Cost(sum(layer_multiply_adds(graph, shapes).values()), sum(_parameters(graph, nodes).values()))


def layer_multiply_adds(graph: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Count the multiply-adds of each convolution and matrix product of a graph.

    Parameters
    ----------
    graph : ModelProto
        The graph.
    shapes : mapping of str to sequence of int
        Shapes of its inputs by name, open dimensions replaced by numbers.

    Returns
    -------
    dict of str to int
        Counts by the name of the tensor that the layer gives.

    """
    known = _inferred(graph, shapes)
    return {node.output[0]: _count(node, known) for node in graph.graph.node if node.op_type in _LAYERS}


_LAYERS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})


def _count(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]]) -> int:
    source, weight, result = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type in ("Conv", "ConvTranspose"):
        # Each weight is used once per position of the output; in a transposed convolution, of the input.
        batch, _, *positions = result if node.op_type == "Conv" else source
        return math.prod(weight) * batch * math.prod(positions)
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(result) * source[-2 if turned else -1]


def _inferred(graph: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """Return the shapes of all tensors of a graph, for these shapes of its inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    model.graph.ClearField("value_info")
    for value in model.graph.input:
        kind = value.type.tensor_type.elem_type
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    found: dict[str, Sequence[int]] = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        found[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return found


def _parameters(graph: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> dict[str, int]:
    """Return how many numbers each initializer has that layers read as weights or biases."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.graph.initializer}
    read = {name for node in nodes for name in _sources(graph, node.input[1:])}
    return {name: size for name, size in sizes.items() if name in read}


def _sources(graph: onnx.ModelProto, tensors: Sequence[str]) -> Iterator[str]:
    """Return the tensors from which these are made by operators that pass a weight on."""
    makers = {node.output[0]: node.input[0] for node in graph.graph.node if node.op_type in _PASSED_ON}
    for name in tensors:
        source = name
        while source in makers:
            source = makers[source]
        yield source
