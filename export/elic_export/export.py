"""One subgraph: a declaration -> a traced module -> a simplified, checked ONNX graph."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime
import onnxsim
import torch
from elic_models import ELIC
from elic_runtime.runners import Arrays
from torch import Tensor

from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.graphs import Subgraph
from elic_export.metrics import TensorError
from elic_export.operators import check_operators
from elic_export.rewrites import REWRITES

TOLERANCE = 1e-4
"""Of a tensor's range, on noise. Parity holds photographs to 5e-6; this finds another graph, not rounding."""


def export_graph(
    subgraph: Subgraph, model: ELIC, config: ExportConfig, known: tuple[Arrays, Arrays] | None = None
) -> onnx.ModelProto:
    """Export one subgraph.

    known: inputs, and the outputs that the graph must give to the last bit; without, it
    must give what the module gives for random inputs, up to rounding.
    Returns a graph with the declared names and shapes, simplified by onnxsim and passed
    by ONNX's full checker. Raises OperatorError, ExportError.
    """
    module = subgraph.build(model).eval()
    for name in () if subgraph.decides_symbols else config.rewrites:
        module = REWRITES[name](module)
    height, width = config.shape.height, config.shape.width
    generator = torch.Generator().manual_seed(0)
    if known is None:
        inputs = tuple(torch.randn(t.shape(height, width), generator=generator) for t in subgraph.inputs.values())
    else:
        inputs = tuple(torch.from_numpy(known[0][name]) for name in subgraph.inputs)
    with torch.inference_mode(), _quiet(), _tracing_errors(subgraph), tempfile.TemporaryDirectory() as folder:
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
        graph, _ = onnxsim.simplify(onnx.load(path))
        outputs = module(*inputs)
    tensors = (outputs,) if isinstance(outputs, Tensor) else outputs
    expected = dict(zip(subgraph.outputs, (t.numpy() for t in tensors), strict=True)) if known is None else known[1]
    onnx.checker.check_model(graph, full_check=True)
    check_operators(subgraph.name, graph, config.allowed_operators)
    _check_shapes(subgraph, graph, height, width)
    _check_values(subgraph, graph, inputs, expected, TOLERANCE if known is None else 0)
    return graph


def _check_shapes(subgraph: Subgraph, graph: onnx.ModelProto, height: int, width: int) -> None:
    for declared, values in ((subgraph.inputs, graph.graph.input), (subgraph.outputs, graph.graph.output)):
        expected = {name: tensor.shape(height, width) for name, tensor in declared.items()}
        found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        if found != expected:
            raise ExportError(f"{subgraph.name}: exported with {found}, declared as {expected}")


def _check_values(
    subgraph: Subgraph, graph: onnx.ModelProto, inputs: tuple[Tensor, ...], expected: Arrays, tolerance: float
) -> None:
    """The graph gives what the module gives: tracing and simplifying changed nothing."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(subgraph.outputs), dict(zip(subgraph.inputs, (t.numpy() for t in inputs), strict=True)))
    for name, value in zip(subgraph.outputs, found, strict=True):
        error = TensorError()
        error.add(expected[name], value)
        if not error.relative <= tolerance:
            raise ExportError(f"{subgraph.name}: {name} is off PyTorch's by {error.relative:.1e} of its range")


@contextmanager
def _tracing_errors(subgraph: Subgraph) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or "out of memory"
        raise ExportError(f"{subgraph.name}: cannot be traced: {reason}") from None


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
