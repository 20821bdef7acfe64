"""A camera: compress each photograph of a folder that was not compressed yet.

python examples/camera.py BUNDLE PHOTOGRAPHS OUTBOX

It needs the encoder's half of a bundle alone: manifest.json, *.npz, h_s.onnx, context_*.onnx,
g_a_h_a.onnx and h_a.onnx.
"""

import sys
from pathlib import Path

from elic_runtime import Codec, ElicError, compress_file


def main(bundle: str, photographs: str, outbox: str) -> None:
    """Write OUTBOX/name.elic for each PHOTOGRAPHS/name.*; each file is there whole or not at all."""
    codec = Codec.load(bundle, decode=False)
    for photograph in sorted(Path(photographs).iterdir()):
        target = Path(outbox) / f"{photograph.stem}.elic"
        if target.exists():
            continue
        try:
            coded = compress_file(codec, photograph, target)
            print(f"{target.name}: {coded.width}x{coded.height}, {coded.bpp:.3f} bpp")
        except ElicError as error:  # not a photograph, or one that has no meaning in 8-bit RGB
            print(f"{photograph.name} is left out: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
