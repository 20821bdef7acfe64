"""Export one subgraph: trace the module of a declaration, simplify, rewrite and check the ONNX graph."""

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
from elic_runtime.entries import GraphPrecision, Reach, graph_precision
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
from elic_export.passes.exported import Exported, Sample, load_graph
from elic_export.passes.fp16 import CONTEXT, LIKELIHOODS, TRANSFORMS, to_half
from elic_export.passes.operators import check_operators
from elic_export.passes.receptive_field import PROBE, reach
from elic_export.passes.rewrites import REWRITES

TOLERANCE: dict[GraphPrecision, float] = {"fp32": 1e-4, "fp16": 3e-2, "int8": 1e-4}
"""Largest accepted error on noise, over the tensor's range, by the precision of the graph. It detects wrong graphs;
parity measures rounding, on photographs and with stricter limits. Layers become int8 after this check."""

ROUNDED_PSNR, ROUNDED_BITS, ROUNDED_CORRELATION = 35.0, 0.02, 0.9
"""Limits of the no-entropy graph: smallest PSNR of x_hat against PyTorch's in dB, largest difference of the bits as a
share, and smallest correlation of the bits. They are wide, since a symbol that rounds the other way changes a patch of
64 pixels and more."""

OTHER_HEIGHTS, OTHER_WIDTHS = (128, 64), (192, 256)
"""Sizes in pixels of a second sample where H and W are open. It is not square, and differs from the traced size, so
that a traced size left in an open dimension is detected."""


def sample_shapes(config: ExportConfig, extent: Extent) -> list[tuple[Shape, int]]:
    """Return the image sizes and batches that a graph is checked at.

    Parameters
    ----------
    config : ExportConfig
        The config, for the batch.
    extent : Extent
        The image sizes that the graph is for.

    Returns
    -------
    list of tuple of Shape and int
        One if all dimensions are fixed, otherwise two. The graph is traced at the first.

    """
    if extent.fixed and config.batch.fixed:
        return [(extent.min, config.batch.min)]
    low, high = extent.min, extent.max
    other = Shape(
        height=_other(low.height, high.height, OTHER_HEIGHTS), width=_other(low.width, high.width, OTHER_WIDTHS)
    )
    return [(low, config.batch.min), (other, config.batch.max)]


def _other(low: int, high: int, sizes: tuple[int, int]) -> int:
    """Return another size than the traced one, or that one if it is fixed."""
    return low if low == high else next(size for size in sizes if size != low)


def export_graph(
    declaration: Declaration,
    deployment: Deployment,
    config: ExportConfig,
    extent: Extent,
    known: Sequence[Sample] = (),
) -> list[Exported]:
    """Export one subgraph, and the parts that rewrites cut it into.

    Each graph is simplified by onnxsim, has the declared names and shapes, passes ONNX's full checker, and gives the
    module's outputs in ONNX Runtime.

    Parameters
    ----------
    declaration : Declaration
        The subgraph.
    deployment : Deployment
        The model.
    config : ExportConfig
        What to export.
    extent : Extent
        The image sizes that the subgraph is for.
    known : sequence of Sample, optional
        Samples at `sample_shapes` whose outputs the graph must compute to the last bit. The default is random inputs,
        for which the graph must compute the module's outputs up to rounding.

    Returns
    -------
    list of Exported
        The graph, followed by its parts.

    Raises
    ------
    OperatorError
        If a graph has an operator that is not allowed.
    ExportError
        If the module cannot be traced or cut, or if a graph does not compute its outputs.

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
    whole = Exported(
        subgraph.name, traced, subgraph.inputs, subgraph.outputs, reach=_reach(subgraph, traced, module, config)
    )
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
        graph: onnx.ModelProto = onnxsim.simplify(onnx.load(path))[0]
    _store_constants(graph)
    return graph


def _reach(subgraph: Subgraph, graph: onnx.ModelProto, module: nn.Module, config: ExportConfig) -> Reach | None:
    """Measure the receptive field of a graph, unless it consists of several that have theirs."""
    if subgraph.name in _COMPOSED:
        return None
    tensors = subgraph.inputs | subgraph.outputs
    strides = {
        role: (tensor.stride or 0, (tensor.stride or 0) * (1 + tensor.packed)) for role, tensor in tensors.items()
    }
    found = reach(subgraph.name, graph, strides)
    if found is None:  # of a small shape
        sample = _random_sample(subgraph, module, Shape(height=PROBE, width=PROBE), 1)
        sizes = {"batch": 1, "height": PROBE, "width": PROBE}
        found = reach(subgraph.name, _trace(subgraph, module, sample.inputs, config, sizes), strides)
    return found


_COMPOSED = ("g_a_h_a", NO_ENTROPY)
"""Graphs of several transforms."""


def _store_constants(graph: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers, so that compilers see fewer operators."""
    constants = [node for node in graph.graph.node if node.op_type == "Constant"]
    for node in constants:
        (value,) = node.attribute
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value.t)
        tensor.name = node.output[0]
        graph.graph.initializer.append(tensor)
        graph.graph.node.remove(node)


def _finish(exported: Exported, subgraph: Subgraph, config: ExportConfig) -> Exported:
    """Convert precision and rename tensors, then check the graph and its operators."""
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
    """Check the names and sizes of inputs and outputs, and name the dimensions that shape inference left open."""
    for declared, values in ((subgraph.inputs, graph.graph.input), (subgraph.outputs, graph.graph.output)):
        expected = {name: fix(decl.dims, fixed) for name, decl in declared.items()}
        found = {value.name: _dims(value) for value in values}
        if found.keys() != expected.keys() or not all(_fits(found[name], expected[name]) for name in found):
            raise ExportError(f"{subgraph.name}: has tensors {found}, but was declared with {expected}")
        for value in values:
            kind = value.type.tensor_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind.elem_type, expected[value.name]))


def _dims(value: onnx.ValueInfoProto) -> tuple[Dim, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim)


def _fits(found: tuple[Dim, ...], expected: tuple[Dim, ...]) -> bool:
    """Return whether every fixed size in the graph is a declared one."""
    return len(found) == len(expected) and all(
        isinstance(a, str) or a == b for a, b in zip(found, expected, strict=True)
    )


def _check_values(subgraph: Subgraph, chain: list[Exported], sample: Sample, config: ExportConfig) -> None:
    """Check that a graph, or its parts one after the other, compute the outputs of a sample."""
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
    found = load_graph(exported.name, exported.graph)(given)
    return {role: found[names.get(role, role)].astype(np.float32) for role in exported.outputs}


@contextmanager
def _tracing_errors(subgraph: Subgraph) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or "out of memory"
        raise ExportError(f"{subgraph.name}: cannot be traced: {reason}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning of every torch.onnx.export call that the TorchScript exporter is deprecated."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
