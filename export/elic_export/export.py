"""One subgraph: a declaration -> a traced module -> a simplified, checked ONNX graph."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxsim
import torch
from elic_models import ELIC

from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.graphs import Subgraph
from elic_export.operators import check_operators
from elic_export.rewrites import REWRITES


def export_graph(subgraph: Subgraph, model: ELIC, config: ExportConfig) -> onnx.ModelProto:
    """Export one subgraph.

    Returns a graph with the declared names and shapes, simplified by onnxsim, passed by
    ONNX's full checker. Raises OperatorError, ExportError.
    """
    module = subgraph.build(model).eval()
    for name in () if subgraph.decides_symbols else config.rewrites:
        module = REWRITES[name](module)
    height, width = config.shape.height, config.shape.width
    inputs = tuple(torch.zeros(tensor.shape(height, width)) for tensor in subgraph.inputs.values())
    with torch.inference_mode(), _quiet(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traced.onnx"
        torch.onnx.export(
            module,
            inputs,
            path,
            input_names=list(subgraph.inputs),
            output_names=list(subgraph.outputs),
            opset_version=config.opset,
            dynamo=False,
        )
        traced = onnx.load(path)
    graph, same = onnxsim.simplify(traced)
    if not same:
        raise ExportError(f"{subgraph.name}: onnxsim's graph computes something else: export with other versions")
    onnx.checker.check_model(graph, full_check=True)
    check_operators(subgraph.name, graph, config.allowed_operators)
    _check_shapes(subgraph, graph, height, width)
    return graph


def _check_shapes(subgraph: Subgraph, graph: onnx.ModelProto, height: int, width: int) -> None:
    for declared, values in ((subgraph.inputs, graph.graph.input), (subgraph.outputs, graph.graph.output)):
        expected = {name: tensor.shape(height, width) for name, tensor in declared.items()}
        found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        if found != expected:
            raise ExportError(f"{subgraph.name}: exported with {found}, declared as {expected}")


@contextmanager
def _quiet() -> Iterator[None]:
    """torch announces on every call that this exporter will be replaced; we pin torch."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
