"""Make the golden bundle and its file, which every later version must decode to the same symbols.

python tests/runtime/golden/make_golden.py

Run it only where a promise of docs/compatibility.md is broken on purpose: with a new version of the bundle's format or
the container's. Keep the old files beside the new ones for as long as old versions are read.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import skimage

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "models")]

from checkpoint_files import content, saved  # noqa: E402 - neighbours, found by the lines above
from elic_export import export  # noqa: E402
from elic_export.config import ExportConfig  # noqa: E402
from elic_export.exact.calibration import calibrate, crops_of, write_calibration  # noqa: E402
from elic_models import load_checkpoint  # noqa: E402
from elic_runtime import Codec  # noqa: E402
from elic_runtime.images import read_image  # noqa: E402
from elic_runtime.shapes import Extent  # noqa: E402
from recording import decoded_symbols  # noqa: E402

WIDTHS = (16, 16, (8, 8))
"""N, M and the groups: two slices, so that one has a channel context."""

PHOTOGRAPH = Path(skimage.__file__).parent / "data/chelsea.png"
ENCODER = ("g_a.onnx", "h_a.onnx", "g_a_h_a.onnx")


def main() -> None:
    """Write `bundle.zip`, `photograph.elic`, and `decoded.npz`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = load_checkpoint(saved(folder, content("chandelier", WIDTHS)))
        write_calibration(folder / "calibration.npz", calibrate(checkpoint.model, crops_of(PHOTOGRAPH)[::8]))
        config = ExportConfig(form="static", shape=Extent.one(64, 128))
        export(config, checkpoint.path, folder / "bundle", calibration=folder / "calibration.npz")
        image = read_image(PHOTOGRAPH)[80:180, 100:300]  # tiles and padding
        data = Codec.load(folder / "bundle").compress(image)
        picture, symbols = decoded_symbols(folder / "bundle", data)
        (HERE / "photograph.elic").write_bytes(data)
        np.savez_compressed(HERE / "decoded.npz", picture=picture, symbols=symbols)
        with zipfile.ZipFile(HERE / "bundle.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted((folder / "bundle").iterdir()):
                if path.is_file() and path.name not in ENCODER:
                    archive.write(path, path.name)


if __name__ == "__main__":
    main()
