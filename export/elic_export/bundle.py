"""Export a bundle: turn a deployed checkpoint and a config into a folder that the runtime loads."""

import json
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import onnx
from elic_models import ModelSpec
from elic_runtime.conformance import digest, known_shape, write_patches
from elic_runtime.entries import CheckpointInfo, ConformanceInfo, FileInfo, SubgraphInfo, TensorInfo, VerifyInfo
from elic_runtime.errors import BundleError
from elic_runtime.files import sha256_file
from elic_runtime.manifest import (
    CALIBRATION_NAME,
    CONFORMANCE_NAME,
    HTML_NAME,
    REPORT_NAME,
    TABLES_NAME,
    TARGETS_NAME,
    VERIFY_NAME,
    Manifest,
)
from elic_runtime.manifest_file import MANIFEST_NAME, read_manifest, write_manifest
from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import Extent, fix, fixed_sizes, resolve
from elic_runtime.subgraphs import Tensor, subgraphs
from elic_runtime.tables import write_tables
from elic_runtime.verify import write_known

from elic_export.config import ExportConfig
from elic_export.errors import ConfigError, ExportError
from elic_export.exact.calibration import write_calibration
from elic_export.exact.deployment import Deployment, fingerprint
from elic_export.graphs.costs import graph_cost
from elic_export.graphs.declare import Declaration, declare_codec, declare_no_entropy, model_info
from elic_export.int8_layers import Int8Layers
from elic_export.known_input import known_patches, known_trace
from elic_export.known_photographs import known_photographs
from elic_export.onnx_file import export_graph, sample_shapes
from elic_export.passes.exported import Exported, Sample
from elic_export.passes.int8 import to_int8
from elic_export.passes.operators import check_operators, operator_counts
from elic_export.passes.rewrites import added_subgraphs
from elic_export.replacing import replaced
from elic_export.targets.write import write_targets
from elic_export.thresholds import read_compiled_limits
from elic_export.yaml_file import default_config

DISTRIBUTION = "elic-deploy"

EXTERNAL_DATA_FROM = 1024
"""Size in bytes from which a weight goes into the file of external data."""

UNKNOWN_SOURCES = "0" * 64
"""Digest that stands for unknown sources; it equals no real one."""

Progress = Callable[[Iterable[Declaration]], Iterable[Declaration]]
"""Shows progress by wrapping the subgraphs that an export iterates over."""


def export_bundle(
    deployment: Deployment,
    config: ExportConfig,
    out: Path,
    progress: Progress = iter,
    sources: str = UNKNOWN_SOURCES,
    int8: Int8Layers | None = None,
) -> Manifest:
    """Export every subgraph of a config into a folder.

    An earlier bundle in the folder is replaced once the new one is complete. After an error, nothing of the new one is
    left.

    Parameters
    ----------
    deployment : Deployment
        The model, in the arithmetic of the config.
    config : ExportConfig
        What to export.
    out : Path
        Folder of the bundle.
    progress : callable, optional
        Shows progress by wrapping the subgraphs.
    sources : str, optional
        Digest of everything that the bundle is made from, as `sources_digest` returns it.
    int8 : Int8Layers, optional
        For a config in int8: the layers that compute in 8 bits.

    Returns
    -------
    Manifest
        The manifest of the bundle.

    Raises
    ------
    ExportError
        If the deployment or the layers do not fit the config, if the folder is something else than a bundle or
        cannot be written, or if a subgraph cannot be exported.

    """
    if config.arithmetic != deployment.arithmetic:
        raise ExportError(
            f"the config asks for {config.arithmetic} arithmetic, the deployment is in {deployment.arithmetic}; "
            f"make it with deploy_{config.arithmetic}, or write arithmetic: {deployment.arithmetic} in the config"
        )
    if (config.precision == "int8") != (int8 is not None):
        raise ExportError(
            "a config with precision: int8, and no other, needs layers: choose them with choose_int8_layers"
        )
    with replaced(out, _check_replaceable) as folder:
        return _fill(deployment, config, folder, progress, sources, int8)


def compiled_targets(folder: Path) -> tuple[str, ...]:
    """Return the tools whose folders in `targets/` hold more than an export wrote; none if there is no bundle."""
    try:
        manifest = read_manifest(folder)
    except BundleError:
        return ()
    written = {target.file for target in manifest.targets}
    files = (path.relative_to(folder) for path in (folder / TARGETS_NAME).glob("*/**/*") if path.is_file())
    return tuple(sorted({file.parts[1] for file in files if file.as_posix() not in written}))


def _check_replaceable(folder: Path) -> None:
    """Raise ExportError unless a folder is empty, or holds an exported bundle and nothing else."""
    no_bundle = ExportError(f"{folder}: exists and is not a bundle; choose another --out, or remove it")
    if not folder.is_dir():
        raise no_bundle
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not names and not any(folder.iterdir()):
        return
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        graphs = manifest["subgraphs"].values()
        listed = {info["file"] for info in graphs} | {
            i["external_data"]["file"] for i in graphs if "external_data" in i
        }
        # Up to format version 3, a target was a path.
        listed |= {t if isinstance(t, str) else t["file"] for t in manifest.get("targets", ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise no_bundle from None
    listed |= {MANIFEST_NAME, TABLES_NAME, CALIBRATION_NAME, CONFORMANCE_NAME, VERIFY_NAME, REPORT_NAME, HTML_NAME}
    # Whatever is in `targets/` was generated, by the export, by the scripts in it, or by `elic-export compile`.
    others = sorted(name for name in names - listed if not name.startswith(f"{TARGETS_NAME}/"))
    if others:
        raise ExportError(
            f"{folder}: is not just a bundle: it contains {others[0]}, which no export wrote; move that away, "
            "or choose another --out"
        )


def _fill(
    deployment: Deployment,
    config: ExportConfig,
    folder: Path,
    progress: Progress,
    sources: str,
    int8: Int8Layers | None,
) -> Manifest:
    spec = deployment.model.spec
    model = model_info(spec)
    write_tables(folder / TABLES_NAME, deployment.tables)
    calibration, conformance, known = _write_exact(deployment, model, config, folder)
    graphs = declare(spec, config)
    _check_renames(graphs, model, config)
    subgraphs = {}
    for declaration in progress(graphs):
        extent = config.extent(declaration.subgraph)
        for exported in export_graph(declaration, deployment, config, extent, known.get(declaration.name, ())):
            subgraphs[exported.name] = write_graph(exported, folder, config, extent, int8)
    manifest = Manifest(
        producer=f"{DISTRIBUTION} {version(DISTRIBUTION)}",
        model=model,
        checkpoint=CheckpointInfo(name=deployment.checkpoint.path.name, sha256=deployment.checkpoint.sha256),
        form=config.form,
        encoder=config.shape,
        decoder=config.decoder,
        cpu=config.cpu,
        batch=config.batch,
        opset=config.opset,
        rewrites=config.rewrites,
        precision=config.precision,
        int8=int8.info if int8 else None,
        arithmetic=deployment.arithmetic,
        step=config.step,
        subgraphs=subgraphs,
        entropy_tables=_file_info(folder / TABLES_NAME),
        calibration=calibration,
        conformance=conformance,
        sources=sources,
        fingerprint=fingerprint(deployment),
    )
    targets = write_targets(manifest, folder)
    manifest = manifest.model_copy(update={"targets": targets})
    write_manifest(folder, manifest)
    if config.form != "no-entropy":
        manifest = manifest.model_copy(update={"verify": _write_verify(deployment, folder)})
        write_manifest(folder, manifest)
    return manifest


def _write_verify(deployment: Deployment, folder: Path) -> VerifyInfo:
    """Write what a device is verified with, for which the bundle itself codes a photograph."""
    path = folder / VERIFY_NAME
    write_known(path, known_photographs(deployment, folder))
    info = _file_info(path)
    limits = read_compiled_limits(default_config("thresholds.yaml"))
    return VerifyInfo(file=info.file, sha256=info.sha256, limits=limits)


def declare(spec: ModelSpec, config: ExportConfig) -> list[Declaration]:
    """Declare the subgraphs of an export, in the order in which a codec runs them.

    Parameters
    ----------
    spec : ModelSpec
        Widths and wiring of the model.
    config : ExportConfig
        The form and the rewrites, which decide what is exported.

    """
    if config.form == "no-entropy":
        return [declare_no_entropy(spec, likelihoods=config.likelihoods, step=config.step)]
    left_out = added_subgraphs() - added_subgraphs(config.rewrites)
    return [declaration for declaration in declare_codec(spec) if declaration.name not in left_out]


def _check_renames(declarations: list[Declaration], model: ModelInfo, config: ExportConfig) -> None:
    table = subgraphs(model)
    graphs = [d.subgraph for d in declarations] + [table[name] for name in added_subgraphs(config.rewrites)]
    known = {role for graph in graphs for role in (*graph.inputs, *graph.outputs)}
    unknown = sorted(config.rename.keys() - known)
    if unknown:
        raise ConfigError(f"rename: no graph of this export has a tensor called {unknown[0]}")


def _write_exact(
    deployment: Deployment, model: ModelInfo, config: ExportConfig, folder: Path
) -> tuple[FileInfo | None, ConformanceInfo | None, dict[str, list[Sample]]]:
    """Write the calibration and the known input of exact arithmetic; return their entries and the known samples."""
    if deployment.calibration is None:
        return None, None, {}
    calibration = folder / CALIBRATION_NAME
    write_calibration(calibration, deployment.calibration)
    if config.form == "no-entropy":
        return _file_info(calibration), None, {}
    conformance = folder / CONFORMANCE_NAME
    patches = known_patches(deployment.model)
    write_patches(conformance, patches)
    info = _file_info(conformance)
    deciding = config.cpu or config.decoder
    places = sample_shapes(config, deciding)
    traces = [known_trace(deployment, model, *at, patches) for at in places]
    known = known_shape(config.decoder, deciding), config.batch.min
    known_outputs = traces[0] if known == places[0] else known_trace(deployment, model, *known, patches)
    digests = {name: digest(outputs, list(outputs)) for name, (_, outputs) in known_outputs.items()}
    samples = {name: [Sample(*trace[name], exact=True) for trace in traces] for name in traces[0]}
    return (
        _file_info(calibration),
        ConformanceInfo(file=info.file, sha256=info.sha256, digests=digests),
        samples,
    )


def _file_info(path: Path) -> FileInfo:
    return FileInfo(file=path.name, sha256=sha256_file(path))


def write_graph(
    exported: Exported, folder: Path, config: ExportConfig, extent: Extent, int8: Int8Layers | None = None
) -> SubgraphInfo:
    """Write one graph into a folder.

    Parameters
    ----------
    exported : Exported
        The graph.
    folder : Path
        The folder.
    config : ExportConfig
        What it was exported with.
    extent : Extent
        The image sizes that it takes.
    int8 : Int8Layers, optional
        Layers to convert to int8, if it has them.

    Returns
    -------
    SubgraphInfo
        Its entry for the manifest.

    Raises
    ------
    OperatorError
        If the config does not allow an operator that int8 needs.

    """
    path, graph = folder / f"{exported.name}.onnx", exported.graph
    if int8 is not None:
        graph = to_int8(exported.name, graph, int8.ranges)
        onnx.checker.check_model(graph, full_check=True)
        check_operators(exported.name, graph, config.allowed_operators)
    inputs = _tensor_infos(graph.graph.input, exported.inputs, config, extent)
    # Counted before the weights leave the graph.
    operators, cost = operator_counts(graph), graph_cost(graph, {tensor.name: tensor.largest for tensor in inputs})
    data = f"{path.name}.data" if config.external_data else None
    if data is not None:
        onnx.external_data_helper.convert_model_to_external_data(
            graph, location=data, size_threshold=EXTERNAL_DATA_FROM, convert_attribute=False
        )
        onnx.save_model(graph, str(path))
    else:
        path.write_bytes(graph.SerializeToString(deterministic=True))
    external = folder / data if data is not None else None
    return SubgraphInfo(
        file=path.name,
        sha256=sha256_file(path),
        inputs=inputs,
        outputs=_tensor_infos(graph.graph.output, exported.outputs, config, extent),
        operators=operators,
        external_data=_file_info(external) if external is not None and external.is_file() else None,
        cut_after=exported.cut_after,
        reach=exported.reach,
        multiply_adds=cost.multiply_adds // config.batch.max,
        parameters=cost.parameters,
    )


def _tensor_infos(
    values: Sequence[onnx.ValueInfoProto], roles: dict[str, Tensor], config: ExportConfig, extent: Extent
) -> tuple[TensorInfo, ...]:
    return tuple(
        _tensor_info(value, role, decl, config, extent)
        for value, (role, decl) in zip(values, roles.items(), strict=True)
    )


def _tensor_info(
    value: onnx.ValueInfoProto, role: str, decl: Tensor, config: ExportConfig, extent: Extent
) -> TensorInfo:
    shape = fix(decl.dims, fixed_sizes(extent, config.batch))
    smallest = resolve(decl.dims, config.batch.min, extent.min)
    largest = resolve(decl.dims, config.batch.max, extent.max)
    ranged = any(isinstance(dim, str) for dim in shape)
    half = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    return TensorInfo(
        name=value.name,
        renamed=role if role != value.name else None,
        dtype="float16" if half else "float32",
        shape=shape,
        min_shape=smallest if ranged else None,
        max_shape=largest if ranged else None,
    )
