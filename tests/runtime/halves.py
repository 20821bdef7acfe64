"""The part of a bundle that a camera or a viewer carries."""

import shutil
from pathlib import Path

from elic_runtime.bundle import Bundle
from elic_runtime.subgraphs import subgraphs


def ship(path: Path, half: str, target: Path) -> None:
    """Copy the part of a bundle that `half`, encoder or decoder, needs: README and docs/devices.md list it."""
    bundle = Bundle(path)
    target.mkdir()
    shutil.copy(path / "manifest.json", target)
    for file in path.glob("*.npz"):
        if file.name != "calibration.npz":
            shutil.copy(file, target)
    for name, graph in subgraphs(bundle.manifest.model).items():
        merged = {"g_a"} if bundle.has("g_a_h_a") else set()
        if bundle.has(name) and graph.needed_by in (half, "both") and name not in merged:
            shutil.copy(bundle.graph_path(name), target)
