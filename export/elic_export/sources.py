"""What an export is made from, as one digest: a second run with the same one has nothing to do.

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
"""Whose versions decide what a graph looks like."""

PACKAGES = ("elic_export", "elic_models", "elic_runtime")


def sources_digest(
    checkpoint: Path,
    config: ExportConfig,
    calibration: Path | None,
    key: str | None = None,
    variant: str | None = None,
) -> str:
    """SHA-256 over the checkpoint, the config, the calibration, this program and the libraries that it uses.

    calibration: a folder, a photograph or a calibration.npz, of exact arithmetic.
    key, variant: what of the checkpoint is read, as `load_checkpoint` takes them. Raises OSError.
    """
    found = {
        "config": config.model_dump(),  # not as JSON: sets are put in order below
        "checkpoint": [sha256_file(checkpoint), key, variant],
        "calibration": _files(calibration) if calibration is not None else {},
        "program": {name: _files(_source(name)) for name in PACKAGES},
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=sorted).encode()).hexdigest()


def up_to_date(folder: Path, sources: str) -> bool:
    """Whether a whole bundle lies there that was made from the same."""
    try:
        bundle = Bundle(folder)
        if bundle.manifest.sources != sources:
            return False
        bundle.tables()
        for name in bundle.manifest.subgraphs:
            bundle.graph_path(name)
        for info in (bundle.manifest.calibration, bundle.manifest.conformance, *bundle.manifest.targets):
            if info is not None:
                bundle.file(info)
    except BundleError:
        return False
    return True


def _source(package: str) -> Path:
    """Beside this package: all three lie in one distribution, or in a checkout's three roots."""
    installed = Path(__file__).resolve().parents[1] / package
    roots = {"elic_export": "export", "elic_models": "models", "elic_runtime": "runtime"}
    return installed if installed.is_dir() else installed.parents[1] / roots[package] / package


def _files(path: Path) -> dict[str, str]:
    """Digests of a file, or of all in a folder, by name."""
    files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts) if path.is_dir() else []
    return {p.relative_to(path).as_posix(): sha256_file(p) for p in files} or {"": sha256_file(path)}
