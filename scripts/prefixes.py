"""Show what a file gives after each of its passes: a table over photographs, and a contact sheet of one.

python prefixes.py BUNDLE FOLDER SHEET.jpg [--of NAME]
"""

import argparse
from pathlib import Path

import numpy as np
from elic_runtime import Codec
from elic_runtime.container_reading import parse
from elic_runtime.images import image_files, read_image
from elic_runtime.metrics import psnr
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

SHOWN = 240
"""Width of a picture in the contact sheet, pixels."""

COLUMNS = 4


def passes_of(data: bytes) -> list[tuple[str, int]]:
    """Return the name of each state of a file that arrives, and how many of its bytes it needs."""
    tile = parse(data).tiles[0]
    streams = [("z", tile.z.streams[0])]
    for k, section in enumerate(tile.slices):
        streams += [(f"slice {k}, {name}", s) for name, s in zip(("anchor", "whole"), section.streams, strict=True)]
    at = len(data) - sum(len(stream) for _, stream in streams)
    states = []
    for name, stream in streams:
        at += len(stream)
        states.append((name, at))
    return states


def sheet(pictures: list[np.ndarray], captions: list[str]) -> Image.Image:
    """Return pictures side by side, with their captions."""
    height = round(SHOWN * pictures[0].shape[0] / pictures[0].shape[1])
    rows = -(-len(pictures) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * (SHOWN + 4) - 4, rows * (height + 22)), "white")
    draw = ImageDraw.Draw(whole)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = i % COLUMNS * (SHOWN + 4), i // COLUMNS * (height + 22)
        whole.paste(Image.fromarray(picture).resize((SHOWN, height), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + 2, top + height + 3), caption, "black", font_size=13)
    return whole


def main() -> None:
    """Measure, print the table, and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("photographs", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--of", help="which photograph the sheet shows")
    options = parser.parse_args()
    codec = Codec.load(options.bundle)
    shares, qualities, names = [], [], []
    for path in image_files(options.photographs):
        image = read_image(path)
        data = codec.compress(image)
        states = passes_of(data)
        pictures = list(codec.decompress_progressive(data))
        shares.append([at / len(data) for _, at in states])
        qualities.append([psnr(image, picture) for picture in pictures])
        names = [name for name, _ in states]
        if options.of in (None, path.name):
            captions = [
                f"{n}: {100 * s:.0f} %, {q:.1f} dB" for n, s, q in zip(names, shares[-1], qualities[-1], strict=True)
            ]
            sheet([*pictures, image], [*captions, "the photograph"]).save(options.sheet, quality=88)
            options.of = path.name
    table = Table("after", "bytes", "PSNR dB", box=None, pad_edge=False)
    for name, share, quality in zip(names, np.mean(shares, 0), np.mean(qualities, 0), strict=True):
        table.add_row(name, f"{100 * share:.0f} %", f"{quality:.1f}")
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
