"""The two halves of the codec, as two devices run them: neither needs the other's graphs.

python examples/camera_and_viewer.py BUNDLE PHOTOGRAPH FOLDER

The camera's folder gets what a camera must carry, the viewer's what a viewer must.
"""

import shutil
import sys
from pathlib import Path

from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.images import read_image, write_image
from elic_runtime.subgraphs import subgraphs


def ship(bundle: Bundle, half: str, target: Path) -> None:
    """Copy the part of a bundle that `half`, encoder or decoder, needs."""
    manifest = bundle.manifest
    target.mkdir()
    shutil.copy(bundle.folder / "manifest.json", target)
    for file in (manifest.entropy_tables, manifest.conformance):
        if file is not None:
            shutil.copy(bundle.folder / file.file, target)
    for name, graph in subgraphs(manifest.model).items():
        if name in manifest.subgraphs and graph.needed_by in (half, "both"):
            shutil.copy(bundle.graph_path(name), target)


def main(bundle: str, photograph: str, folder: str) -> None:
    """Ship both halves, compress with the one, decode with the other."""
    for half in ("encoder", "decoder"):
        ship(Bundle(bundle), half, Path(folder) / half)
    camera = Codec.load(Path(folder) / "encoder", decode=False)
    data = camera.compress(read_image(Path(photograph)))  # uint8 [H, W, 3], RGB
    viewer = Codec.load(Path(folder) / "decoder", encode=False)
    write_image(Path(folder) / "picture.png", viewer.decompress(data))
    print(f"{len(data)} bytes went from the camera to the viewer")


if __name__ == "__main__":
    main(*sys.argv[1:])
