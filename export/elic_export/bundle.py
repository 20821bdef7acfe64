"""A bundle: a checkpoint and a config -> a folder that the runtime loads."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import onnx
from elic_models import Checkpoint
from elic_runtime.conformance import Trace, digest, write_patches
from elic_runtime.files import sha256_file
from elic_runtime.manifest import (
    MANIFEST_NAME,
    TABLES_NAME,
    CheckpointInfo,
    ConformanceInfo,
    FileInfo,
    Manifest,
    ModelInfo,
    SubgraphInfo,
    TensorInfo,
)
from elic_runtime.tables import write_tables

from elic_export.calibration import CALIBRATION_NAME, write_calibration
from elic_export.config import ExportConfig
from elic_export.deployment import Deployment, fingerprint
from elic_export.errors import ExportError
from elic_export.export import export_graph
from elic_export.graphs import Subgraph, declare
from elic_export.known_input import known_patches, known_trace
from elic_export.operators import operator_counts
from elic_export.verdicts import HTML_NAME, REPORT_NAME

DISTRIBUTION = "elic-deploy"

CONFORMANCE_NAME = "conformance.npz"

REPORT_NAMES = (REPORT_NAME, HTML_NAME)

Progress = Callable[[Iterable[Subgraph]], Iterable[Subgraph]]
"""Wraps the subgraphs as they are exported, to show how far it is."""


def export_bundle(
    checkpoint: Checkpoint, deployment: Deployment, config: ExportConfig, out: Path, progress: Progress = iter
) -> Manifest:
    """Export every subgraph into the folder `out`.

    deployment: of the checkpoint's model, in the config's arithmetic.
    An earlier bundle there is replaced, once the new one is whole; on an error nothing
    of the new one is left. Raises ExportError: `out` is something else than a bundle.
    """
    out = out.resolve()
    if out.is_mount() or out == Path.cwd():
        raise ExportError(f"{out}: cannot be replaced as a whole: name a folder in it with --out")
    if out.exists() and not _is_bundle(out):
        raise ExportError(f"{out}: exists and is no bundle: choose another --out, or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror}") from None
    try:
        manifest = _fill(checkpoint, deployment, config, partial, progress)
        partial.chmod(0o755)
        _replace(out, partial)
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _is_bundle(folder: Path) -> bool:
    """Whether a folder is empty, or holds an exported bundle and nothing besides."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        listed = {info["file"] for info in manifest["subgraphs"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return names <= listed | {MANIFEST_NAME, TABLES_NAME, CALIBRATION_NAME, CONFORMANCE_NAME, *REPORT_NAMES}


def _replace(out: Path, partial: Path) -> None:
    """Put the new bundle where the old one was; if that fails, the old one is there again."""
    if not out.exists():
        partial.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".old", dir=out.parent)) / out.name
    try:
        out.rename(old)
        try:
            partial.rename(out)
        except OSError:
            old.rename(out)
            raise
    except OSError:
        if not old.exists():
            old.parent.rmdir()
        raise
    shutil.rmtree(old.parent)


def _fill(
    checkpoint: Checkpoint, deployment: Deployment, config: ExportConfig, folder: Path, progress: Progress
) -> Manifest:
    spec = deployment.model.spec
    model = ModelInfo(
        variant=spec.variant,
        N=spec.N,
        M=spec.M,
        groups=spec.groups,
        anchor_parity=spec.wiring.anchor_parity,
        context_slices=tuple(spec.wiring.context_slices(k) for k in range(len(spec.groups))),
    )
    write_tables(folder / TABLES_NAME, deployment.tables)
    calibration, conformance, known = _write_exact(deployment, model, config, folder)
    manifest = Manifest(
        format_version=2,
        producer=f"{DISTRIBUTION} {version(DISTRIBUTION)}",
        model=model,
        checkpoint=CheckpointInfo(name=checkpoint.path.name, sha256=checkpoint.sha256),
        form=config.form,
        shape=config.shape,
        opset=config.opset,
        rewrites=config.rewrites,
        precision=config.precision,
        arithmetic=deployment.arithmetic,
        subgraphs={
            subgraph.name: _write_graph(
                export_graph(subgraph, deployment.model, config, known.get(subgraph.name)), subgraph.name, folder
            )
            for subgraph in progress(declare(spec))
        },
        entropy_tables=_file_info(folder / TABLES_NAME),
        calibration=calibration,
        conformance=conformance,
        fingerprint=fingerprint(deployment),
    )
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
    return manifest


def _write_exact(
    deployment: Deployment, model: ModelInfo, config: ExportConfig, folder: Path
) -> tuple[FileInfo | None, ConformanceInfo | None, Trace]:
    """What only exact arithmetic has: its calibration, and the known input with what comes out."""
    if deployment.calibration is None:
        return None, None, {}
    calibration, conformance = folder / CALIBRATION_NAME, folder / CONFORMANCE_NAME
    write_calibration(calibration, deployment.calibration)
    patches = known_patches(deployment.model)
    write_patches(conformance, patches)
    known = known_trace(deployment, model, config.shape, patches)
    info = _file_info(conformance)
    digests = {name: digest(outputs, list(outputs)) for name, (_, outputs) in known.items()}
    return (
        _file_info(calibration),
        ConformanceInfo(file=info.file, sha256=info.sha256, digests=digests),
        known,
    )


def _file_info(path: Path) -> FileInfo:
    return FileInfo(file=path.name, sha256=sha256_file(path))


def _write_graph(graph: onnx.ModelProto, name: str, folder: Path) -> SubgraphInfo:
    path = folder / f"{name}.onnx"
    path.write_bytes(graph.SerializeToString(deterministic=True))
    return SubgraphInfo(
        file=path.name,
        sha256=sha256_file(path),
        inputs=tuple(map(_tensor_info, graph.graph.input)),
        outputs=tuple(map(_tensor_info, graph.graph.output)),
        operators=operator_counts(graph),
    )


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return TensorInfo(name=value.name, dtype=dtype, shape=tuple(d.dim_value for d in kind.shape.dim))
