"""A bundle: a checkpoint and a config -> a folder that the runtime loads."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from elic_models import ELIC, Checkpoint
from elic_runtime.errors import BundleError
from elic_runtime.files import sha256_file
from elic_runtime.manifest import (
    MANIFEST_NAME,
    TABLES_NAME,
    CheckpointInfo,
    FileInfo,
    Manifest,
    ModelInfo,
    SubgraphInfo,
    TensorInfo,
)
from elic_runtime.tables import CdfTables, EntropyTables, write_tables

from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.export import export_graph
from elic_export.graphs import Subgraph, declare
from elic_export.operators import operator_counts
from elic_export.verdicts import HTML_NAME, REPORT_NAME

DISTRIBUTION = "elic-deploy"

REPORT_NAMES = (REPORT_NAME, HTML_NAME)

Progress = Callable[[Iterable[Subgraph]], Iterable[Subgraph]]
"""Wraps the subgraphs as they are exported, to show how far it is."""


def export_bundle(checkpoint: Checkpoint, config: ExportConfig, out: Path, progress: Progress = iter) -> Manifest:
    """Export every subgraph into the folder `out`.

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
        manifest = _fill(checkpoint, config, partial, progress)
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
    return names <= listed | {MANIFEST_NAME, TABLES_NAME, *REPORT_NAMES}


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


def _fill(checkpoint: Checkpoint, config: ExportConfig, folder: Path, progress: Progress) -> Manifest:
    model = checkpoint.model
    tables = entropy_tables(model)
    try:
        tables.check()
    except BundleError as error:
        raise ExportError(f"{checkpoint.path}: its stored CDF tables cannot code: {error}") from None
    write_tables(folder / TABLES_NAME, tables)
    spec = model.spec
    manifest = Manifest(
        format_version=1,
        producer=f"{DISTRIBUTION} {version(DISTRIBUTION)}",
        model=ModelInfo(
            variant=spec.variant,
            N=spec.N,
            M=spec.M,
            groups=spec.groups,
            anchor_parity=spec.wiring.anchor_parity,
            context_slices=tuple(spec.wiring.context_slices(k) for k in range(len(spec.groups))),
        ),
        checkpoint=CheckpointInfo(name=checkpoint.path.name, sha256=checkpoint.sha256),
        form=config.form,
        shape=config.shape,
        opset=config.opset,
        rewrites=config.rewrites,
        precision=config.precision,
        arithmetic=config.arithmetic,
        subgraphs={
            subgraph.name: _write_graph(export_graph(subgraph, model, config), subgraph.name, folder)
            for subgraph in progress(declare(spec))
        },
        entropy_tables=FileInfo(file=TABLES_NAME, sha256=sha256_file(folder / TABLES_NAME)),
        fingerprint=fingerprint(model, tables, config.arithmetic),
    )
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


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


def entropy_tables(model: ELIC) -> EntropyTables:
    """The CDFs of a loaded model, those of its checkpoint or those that CompressAI computes."""
    y, z = (
        CdfTables(
            *(
                np.asarray(t.int(), dtype=np.int32)
                for t in (m.quantized_cdf, m.cdf_length.reshape(-1), m.offset.reshape(-1))
            )
        )
        for m in (model.gaussian_conditional, model.entropy_bottleneck)
    )
    return EntropyTables(
        y,
        z,
        model.gaussian_conditional.scale_table.numpy().astype(np.float32),
        model.gaussian_conditional.lower_bound_scale.bound.numpy().astype(np.float32).reshape(())[()],
        model.entropy_bottleneck.quantiles[:, 0, 1].numpy().astype(np.float32),
    )


def fingerprint(model: ELIC, tables: EntropyTables, arithmetic: str) -> str:
    """SHA-256 of all that changes what a bit stream means.

    Wiring, entropy tables, the weights of h_s and the context model, and the arithmetic
    they run in; not shape, opset, g_a, h_a or g_s.
    """
    spec = model.spec
    contexts = [spec.wiring.context_slices(k) for k in range(len(spec.groups))]
    wiring = (arithmetic, spec.N, spec.M, spec.groups, spec.wiring.anchor_parity, contexts)
    digest = hashlib.sha256(json.dumps(wiring).encode())
    parts = dict(sorted(tables.arrays().items()))
    for prefix in ("h_s", "context"):
        parts |= {f"{prefix}.{n}": p.numpy() for n, p in sorted(model.get_submodule(prefix).named_parameters())}
    for name, array in parts.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {little.dtype.str} {little.shape}".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()
