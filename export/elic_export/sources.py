"""A digest of everything that an export is made from, so that a second run with the same digest has nothing to do.

Nothing here imports PyTorch, so that the answer is quick.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from elic_runtime.bundle import Bundle
from elic_runtime.errors import BundleError
from elic_runtime.files import sha256_file

from elic_export.config import ExportConfig

LIBRARIES = ("torch", "onnx", "onnxsim", "onnxruntime", "compressai", "numpy")
"""Distributions whose versions the exported graphs depend on."""

PACKAGES = ("elic_export", "elic_models", "elic_runtime")


def sources_digest(
    checkpoint: Path,
    config: ExportConfig,
    calibration: Path | None,
    key: str | None = None,
    variant: str | None = None,
) -> str:
    """Return the SHA-256 of a checkpoint, a config, a calibration, this program and the libraries that it uses.

    Parameters
    ----------
    checkpoint : Path
        File of the checkpoint.
    config : ExportConfig
        What to export.
    calibration : Path, optional
        For exact arithmetic: a photograph, a folder of them, or a `calibration.npz`.
    key, variant : str, optional
        Which network of the checkpoint is read, and which ELIC it must be.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    OSError
        If a file cannot be read.

    """
    found = {
        "config": config.model_dump(),  # not in JSON mode, since sets are sorted below
        "checkpoint": [sha256_file(checkpoint), key, variant],
        "calibration": _files(calibration) if calibration is not None else {},
        "program": {name: _files(_source(name)) for name in PACKAGES},
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=sorted).encode()).hexdigest()


def up_to_date(folder: Path, sources: str) -> bool:
    """Return whether a folder holds a complete bundle that was made from the same sources.

    Parameters
    ----------
    folder : Path
        The folder.
    sources : str
        What `sources_digest` returned.

    """
    try:
        bundle = Bundle(folder)
        if bundle.manifest.sources != sources:
            return False
        bundle.tables()
        for name in bundle.manifest.subgraphs:
            bundle.graph_path(name)
        manifest = bundle.manifest
        for info in (manifest.calibration, manifest.conformance, manifest.verify, *manifest.targets):
            if info is not None:
                bundle.file(info)
    except BundleError:
        return False
    return True


def _source(package: str) -> Path:
    """Return the folder of a package: beside this one in a wheel, in a source root of its own in a checkout."""
    installed = Path(__file__).resolve().parents[1] / package
    roots = {"elic_export": "export", "elic_models": "models", "elic_runtime": "runtime"}
    return installed if installed.is_dir() else installed.parents[1] / roots[package] / package


def _files(path: Path) -> dict[str, str]:
    """Return the digests of a file, or of all files in a folder, by relative path."""
    files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts) if path.is_dir() else []
    return {p.relative_to(path).as_posix(): sha256_file(p) for p in files} or {"": sha256_file(path)}
