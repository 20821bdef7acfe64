"""The operators that a graph uses, and those that it must not use."""

from collections import Counter

import onnx

from elic_export.errors import OperatorError

STATIC_FORBIDDEN = frozenset(
    {"ScatterND", "ScatterElements", "Scatter", "Loop", "If", "Scan"}
    | {"Shape", "Size", "Gather", "GatherND", "GatherElements", "NonZero", "Where"}
)
"""Operators of in-place indexing, control flow and shape arithmetic. NPU compilers refuse them, so no graph has one."""


def operator_counts(graph: onnx.ModelProto) -> dict[str, int]:
    """Count the operators of a graph.

    Parameters
    ----------
    graph : ModelProto
        The graph.

    Returns
    -------
    dict of str to int
        Counts by operator, sorted by name. The name of an operator outside of ONNX's own domain starts with its domain.

    """
    return dict(sorted(Counter(_name(node) for node in graph.graph.node).items()))


def check_operators(name: str, graph: onnx.ModelProto, allowed: frozenset[str] | None) -> None:
    """Check that a graph has no operator that is forbidden.

    Parameters
    ----------
    name : str
        Name of the subgraph, for the error message.
    graph : ModelProto
        The graph.
    allowed : frozenset of str, optional
        The operators that the config allows. None allows all but `STATIC_FORBIDDEN`.

    Raises
    ------
    OperatorError
        If a node is forbidden, of a domain other than ONNX's own, or not allowed. The message names the first one.

    """
    for node in graph.graph.node:
        operator = _name(node)
        if operator in STATIC_FORBIDDEN or node.domain not in ("", "ai.onnx"):
            raise OperatorError(f"{name}: node {node.name!r} is {operator}, which no exported graph may contain")
        if allowed is not None and operator not in allowed:
            raise OperatorError(f"{name}: node {node.name!r} is {operator}, which allowed_operators does not list")


def _name(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)
