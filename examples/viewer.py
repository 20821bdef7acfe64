"""A viewer: decode each file of a folder that was not decoded yet.

python examples/viewer.py BUNDLE INBOX PICTURES

It needs the decoder's half of a bundle alone: manifest.json, *.npz, h_s.onnx, context_*.onnx and g_s.onnx.
"""

import sys
from pathlib import Path

from elic_runtime import Codec, ElicError, decompress_file


def main(bundle: str, inbox: str, pictures: str) -> None:
    """Write PICTURES/name.png for each INBOX/name.elic; a damaged file gives an error, never a wrong picture."""
    codec = Codec.load(bundle, encode=False)
    for coded in sorted(Path(inbox).glob("*.elic")):
        target = Path(pictures) / f"{coded.stem}.png"
        if target.exists():
            continue
        try:
            decompress_file(codec, coded, target)
            print(f"{target.name} is ready")
        except ElicError as error:
            print(f"{coded.name} is left out: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
