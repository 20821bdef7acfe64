"""Which operators a graph uses, and which it may not."""

from collections import Counter

import onnx

from elic_export.errors import OperatorError

STATIC_FORBIDDEN = frozenset(
    {"ScatterND", "ScatterElements", "Scatter", "Loop", "If", "Scan"}
    | {"Shape", "Size", "Gather", "GatherND", "GatherElements", "NonZero", "Where"}
)
"""In-place indexing, control flow and shape arithmetic: no graph here needs any, and NPU compilers refuse them."""


def operator_counts(graph: onnx.ModelProto) -> dict[str, int]:
    """How often each operator occurs, by name; a contrib operator with its domain before it."""
    return dict(sorted(Counter(_name(node) for node in graph.graph.node).items()))


def check_operators(name: str, graph: onnx.ModelProto, allowed: frozenset[str] | None) -> None:
    """Raises OperatorError naming the first node that is forbidden, of another domain, or not in `allowed`."""
    for node in graph.graph.node:
        operator = _name(node)
        if operator in STATIC_FORBIDDEN or node.domain not in ("", "ai.onnx"):
            raise OperatorError(f"{name}: node {node.name!r} is {operator}, which no graph here may hold")
        if allowed is not None and operator not in allowed:
            raise OperatorError(f"{name}: node {node.name!r} is {operator}, which allowed_operators does not list")


def _name(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)
