"""A graph in fp16, by onnxruntime's converter; where numbers need more, it stays in fp32."""

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from elic_export.errors import ExportError

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
    _sort(half)
    return half


def _sort(graph: onnx.ModelProto) -> None:
    """Nodes after what they read: the converter appends its casts."""
    waiting = list(graph.graph.node)
    made = {value.name for value in (*graph.graph.input, *graph.graph.initializer)} | {""}
    in_order: list[onnx.NodeProto] = []
    while waiting:
        ready = [node for node in waiting if made.issuperset(node.input)]
        if not ready:
            raise ExportError(f"the fp16 graph has no order: nothing gives the input of {waiting[0].name!r}")
        made.update(name for node in ready for name in node.output)
        in_order += ready
        done = set(map(id, ready))
        waiting = [node for node in waiting if id(node) not in done]
    del graph.graph.node[:]
    graph.graph.node.extend(in_order)
