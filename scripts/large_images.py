"""Measure what images of many megapixels cost: the time and the memory of `elic compress` and `elic decompress`.

python large_images.py BUNDLE PHOTOGRAPH [MEGAPIXELS ...]

The photograph, mirrored side by side, fills images of 3:2. Each command runs in a process of its own, whose peak of
resident memory Linux reports; it includes reading and writing the image as TIFF.
"""

import argparse
import json
import math
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from elic_runtime.images import read_image, write_image
from elic_runtime.pixels import Image
from rich.console import Console
from rich.table import Table

CHILD = "--child"
"""Runs `elic` in this process, and prints its peak of memory at the end."""


def filled(photograph: Image, megapixels: float) -> Image:
    """Return an image of 3:2 that a photograph, mirrored side by side, fills."""
    height = round(math.sqrt(megapixels * 1e6 / 1.5))
    width = round(1.5 * height)
    both = np.concatenate([photograph, photograph[:, ::-1]], axis=1)
    unit = np.concatenate([both, both[::-1]])
    rows, columns = np.arange(height) % unit.shape[0], np.arange(width) % unit.shape[1]
    return np.ascontiguousarray(unit[rows][:, columns])


def child(arguments: list[str]) -> None:
    """Run `elic` here. The last line of the output is the peak of resident memory in bytes."""
    sys.argv = ["elic", *arguments]
    try:
        runpy.run_module("elic_runtime", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(1024 * int(peak[1]) if peak else 0)


def measured(command: str, source: Path, target: Path, bundle: str) -> tuple[float, int]:
    """Return the seconds that the codec took, and the peak of resident memory in bytes."""
    arguments = [command, str(source), str(target), "--bundle", bundle, "--json"]
    run = subprocess.run([sys.executable, __file__, CHILD, *arguments], check=True, capture_output=True, text=True)
    facts, peak = run.stdout.rstrip().rsplit("\n", 1)
    return json.loads(facts)[0]["seconds"], int(peak)


def main() -> None:
    """Measure every size, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("photograph", type=Path)
    parser.add_argument("megapixels", type=float, nargs="*", default=[1, 6, 24, 100])
    options = parser.parse_args()
    photograph = read_image(options.photograph)
    table = Table("megapixels", "compress s/MP", "GB", "decompress s/MP", "GB", "bytes", box=None, pad_edge=False)
    with tempfile.TemporaryDirectory() as folder:
        source, coded, target = (Path(folder) / name for name in ("image.tif", "image.elic", "decoded.tif"))
        for size in options.megapixels:
            write_image(source, filled(photograph, size))
            costs = measured("compress", source, coded, options.bundle)
            costs += measured("decompress", coded, target, options.bundle)
            pairs = zip(costs[::2], costs[1::2], strict=True)
            cells = [cell for seconds, peak in pairs for cell in (f"{seconds / size:.2f}", f"{peak / 1e9:.2f}")]
            table.add_row(f"{size:g}", *cells, str(coded.stat().st_size))
            print(f"{size:g}", *cells, file=sys.stderr)
    Console(width=100).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(sys.argv[2:])
    else:
        main()
