"""A graph in fp16, by onnxruntime's converter; where numbers need more, it stays in fp32."""

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

LARGEST = 65504.0
"""Of fp16. Weights beyond it are clipped, which the comparison with PyTorch would show."""

TRANSFORMS = ("/g_a/", "/h_a/", "/g_s/")
"""Where the nodes of no_entropy's transforms are, by the names of their modules."""

CONTEXT = ("/h_s/", "/anchors.", "/nonanchors.")


def to_half(graph: onnx.ModelProto, within: tuple[str, ...], *, fp16_tensors: bool) -> onnx.ModelProto:
    """The graph with weights and activations in fp16.

    within: prefixes of the names of the nodes that it is for; all, if there are none.
    fp16_tensors: inputs and outputs too; otherwise they are cast.
    """
    kept = [node.name for node in graph.graph.node if within and not node.name.startswith(within)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each weight that rounds to fp16's smallest
        half: onnx.ModelProto = convert_float_to_float16(
            graph, max_finite_val=LARGEST, keep_io_types=not fp16_tensors, node_block_list=kept
        )
    return half
