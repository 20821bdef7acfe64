"""Compress a photograph to an `.elic` file and decode it again.

python examples/round_trip.py BUNDLE PHOTOGRAPH FOLDER
"""

import sys
from pathlib import Path

from elic_runtime import Codec, ElicError, compress_file, decompress_file
from elic_runtime.images import read_image
from elic_runtime.metrics import psnr


def main(bundle: str, photograph: str, folder: str) -> None:
    """Write `photo.elic` and `photo.png` into the folder, and print rate and distortion."""
    codec = Codec.load(bundle)  # once; it serves any number of images, also from several threads
    coded = compress_file(codec, photograph, Path(folder) / "photo.elic")
    decompress_file(codec, Path(folder) / "photo.elic", Path(folder) / "photo.png")
    decibels = psnr(read_image(photograph), read_image(Path(folder) / "photo.png"))
    size = f"{coded.width}x{coded.height} (width x height)"
    print(f"{size}, {coded.size} bytes, {coded.bpp:.3f} bpp, {decibels:.2f} dB")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ElicError, OSError) as error:
        sys.exit(f"error: {error}")
