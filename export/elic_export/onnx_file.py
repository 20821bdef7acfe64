"""One subgraph: a declaration -> a traced module -> simplified, rewritten, checked ONNX graphs."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxsim
import torch
from elic_runtime.manifest import GraphPrecision, graph_precision
from elic_runtime.metrics import bits
from elic_runtime.runners import Arrays
from elic_runtime.shapes import Dim, Extent, Shape, fix, fixed_sizes, resolve
from elic_runtime.subgraphs import NO_ENTROPY, Subgraph
from torch import Tensor, nn

from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.exact.deployment import Deployment
from elic_export.graphs.declare import Declaration
from elic_export.metrics import TensorError, correlation
from elic_export.passes.cut import rename_tensors
from elic_export.passes.exported import Exported, Sample, run_graph
from elic_export.passes.fp16 import CONTEXT, LIKELIHOODS, TRANSFORMS, to_half
from elic_export.passes.operators import check_operators
from elic_export.passes.rewrites import REWRITES

TOLERANCE: dict[GraphPrecision, float] = {"fp32": 1e-4, "fp16": 3e-2}
"""Of a tensor's range, on noise, by the graph's own precision. Parity holds photographs to less; this finds another
graph, not rounding."""

ROUNDED_PSNR, ROUNDED_BITS, ROUNDED_CORRELATION = 35.0, 0.02, 0.9
"""Picture in dB, rate and where it falls, relative, where symbols are rounded inside the graph: one that rounds
the other way moves a patch of 64 pixels and more."""

OTHER_HEIGHTS, OTHER_WIDTHS = (128, 64), (192, 256)
"""Not square, and one of each is not what was traced: nothing of the trace may be left in an open dimension."""


def sample_shapes(config: ExportConfig, extent: Extent) -> list[tuple[Shape, int]]:
    """The shapes and batches that a graph is checked at; it is traced at the first."""
    if extent.fixed and config.batch.fixed:
        return [(extent.min, config.batch.min)]
    low, high = extent.min, extent.max
    other = Shape(
        height=_other(low.height, high.height, OTHER_HEIGHTS), width=_other(low.width, high.width, OTHER_WIDTHS)
    )
    return [(low, config.batch.min), (other, config.batch.max)]


def _other(low: int, high: int, sizes: tuple[int, int]) -> int:
    """A size that is not the traced one, unless there is only that."""
    return low if low == high else next(size for size in sizes if size != low)


def export_graph(
    declaration: Declaration,
    deployment: Deployment,
    config: ExportConfig,
    extent: Extent,
    known: Sequence[Sample] = (),
) -> list[Exported]:
    """Export one subgraph, and the parts that a rewrite makes of it.

    extent: the shapes of x that it is for.
    known: samples at `sample_shapes` that it must give to the last bit; without, it must give
    what the module gives for random inputs, up to rounding.
    Returns graphs with the declared names and shapes, simplified by onnxsim and passed
    by ONNX's full checker. Raises OperatorError, ExportError.
    """
    subgraph, module = declaration.subgraph, declaration.build(deployment).eval()
    rewrites = [REWRITES[name] for name in config.rewrites]
    for rewrite in () if subgraph.decides_symbols else rewrites:
        module = rewrite.of_module(module)
    samples = known or [_random_sample(subgraph, module, shape, n) for shape, n in sample_shapes(config, extent)]
    fixed = fixed_sizes(extent, config.batch)
    traced = _trace(subgraph, module, samples[0].inputs, config, fixed)
    for rewrite in rewrites:
        rewrite.of_graph(traced)
    _check_shapes(subgraph, traced, fixed)
    whole = Exported(subgraph.name, traced, subgraph.inputs, subgraph.outputs)
    parts = [rewrite.parts(whole, samples[0], fixed, config.options_of(rewrite)) for rewrite in rewrites]
    chains = [[whole], *filter(None, parts)]
    finished = [[_finish(exported, subgraph, config) for exported in chain] for chain in chains]
    for chain in finished:
        for sample in samples:
            _check_values(subgraph, chain, sample, config)
    return [exported for chain in finished for exported in chain]


@torch.inference_mode()
def _random_sample(subgraph: Subgraph, module: nn.Module, shape: Shape, batch: int) -> Sample:
    generator = torch.Generator().manual_seed(0)
    with _tracing_errors(subgraph):
        inputs = {
            name: torch.randn(resolve(decl.dims, batch, shape), generator=generator)
            for name, decl in subgraph.inputs.items()
        }
        outputs = module(*inputs.values())
    tensors = (outputs,) if isinstance(outputs, Tensor) else outputs
    return Sample(
        {name: t.numpy() for name, t in inputs.items()},
        {name: t.numpy() for name, t in zip(subgraph.outputs, tensors, strict=True)},
    )


def _trace(
    subgraph: Subgraph, module: nn.Module, inputs: Arrays, config: ExportConfig, fixed: dict[str, int]
) -> onnx.ModelProto:
    declared = subgraph.inputs | subgraph.outputs
    with torch.inference_mode(), _quiet(), _tracing_errors(subgraph), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traced.onnx"
        torch.onnx.export(
            module,
            tuple(torch.from_numpy(inputs[name]) for name in subgraph.inputs),
            path,
            input_names=list(subgraph.inputs),
            output_names=list(subgraph.outputs),
            opset_version=config.opset,
            dynamic_axes={
                name: {i: dim for i, dim in enumerate(fix(decl.dims, fixed)) if isinstance(dim, str)}
                for name, decl in declared.items()
            },
            dynamo=False,
        )
        graph, _ = onnxsim.simplify(onnx.load(path))
    _store_constants(graph)
    return graph


def _store_constants(graph: onnx.ModelProto) -> None:
    """Constant nodes become initializers, as weights are: compilers see fewer operators."""
    constants = [node for node in graph.graph.node if node.op_type == "Constant"]
    for node in constants:
        (value,) = node.attribute
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value.t)
        tensor.name = node.output[0]
        graph.graph.initializer.append(tensor)
        graph.graph.node.remove(node)


def _finish(exported: Exported, subgraph: Subgraph, config: ExportConfig) -> Exported:
    """Precision and names, then ONNX's checker and the operators."""
    graph = exported.graph
    if graph_precision(config.precision, subgraph.name) == "fp16":
        within: tuple[str, ...] = ()
        if subgraph.name == NO_ENTROPY:
            within = TRANSFORMS if config.precision == "mixed" else TRANSFORMS + CONTEXT
        graph = to_half(graph, within, fp16_tensors=config.tensors == "fp16", in_fp32=LIKELIHOODS)
    roles = exported.inputs | exported.outputs
    rename_tensors(graph, {old: new for old, new in config.rename.items() if old in roles})
    onnx.checker.check_model(graph, full_check=True)
    check_operators(exported.name, graph, config.allowed_operators)
    return replace(exported, graph=graph)


def _check_shapes(subgraph: Subgraph, graph: onnx.ModelProto, fixed: dict[str, int]) -> None:
    """The declared names and sizes; an output's dimension that inference could not tell is given its name."""
    for declared, values in ((subgraph.inputs, graph.graph.input), (subgraph.outputs, graph.graph.output)):
        expected = {name: fix(decl.dims, fixed) for name, decl in declared.items()}
        found = {value.name: _dims(value) for value in values}
        if found.keys() != expected.keys() or not all(_fits(found[name], expected[name]) for name in found):
            raise ExportError(f"{subgraph.name}: exported with {found}, declared as {expected}")
        for value in values:
            kind = value.type.tensor_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind.elem_type, expected[value.name]))


def _dims(value: onnx.ValueInfoProto) -> tuple[Dim, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim)


def _fits(found: tuple[Dim, ...], expected: tuple[Dim, ...]) -> bool:
    """Whether no size was traced into the graph that is not declared."""
    return len(found) == len(expected) and all(
        isinstance(a, str) or a == b for a, b in zip(found, expected, strict=True)
    )


def _check_values(subgraph: Subgraph, chain: list[Exported], sample: Sample, config: ExportConfig) -> None:
    """The graph, or its halves one after the other, gives what the module gives: no step changed anything."""
    tensors = sample.inputs
    for exported in chain:
        tensors = _run(exported, tensors, config.rename)
    for name, expected in sample.outputs.items():
        error = TensorError()
        error.add(expected, tensors[name])
        if subgraph.name != NO_ENTROPY:
            tolerance = 0 if sample.exact else TOLERANCE[graph_precision(config.precision, subgraph.name)]
            passed, off = error.relative <= tolerance, f"off PyTorch's by {error.relative:.1e} of its range"
        elif name == "x_hat":
            passed, off = error.psnr_db >= ROUNDED_PSNR, f"only {error.psnr_db:.0f} dB like PyTorch's"
        else:
            ratio, alike = bits(tensors[name]) / bits(expected), correlation(expected, tensors[name])
            passed = abs(ratio - 1) <= ROUNDED_BITS and alike >= ROUNDED_CORRELATION
            off = f"{ratio:.3f} of PyTorch's, in bits, which correlate by {alike:.3f}"
        if not passed:
            raise ExportError(f"{chain[-1].name}: {name} is {off}")


def _run(exported: Exported, tensors: Arrays, names: dict[str, str]) -> Arrays:
    given = {names.get(role, role): tensors[role] for role in exported.inputs}
    if exported.graph.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16:
        given = {name: value.astype(np.float16) for name, value in given.items()}
    found = run_graph(exported.name, exported.graph, [names.get(role, role) for role in exported.outputs], given)
    return {role: value.astype(np.float32) for role, value in zip(exported.outputs, found, strict=True)}


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
