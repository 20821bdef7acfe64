"""What the benchmark prints; `test_cli.py` runs it."""

import io

import pytest
from elic_export.benchmark import print_benchmark
from rich.console import Console

STAGE = {
    "best_seconds": {"pytorch": 3.0, "bundle": 1.0},
    "median_seconds": {"pytorch": 3.2, "bundle": 1.1},
    "best_ratio": 3.0,
    "median_ratio": 2.9,
    "outside_subgraphs_ms": 20.0,
}
RESULT = {
    "image": "cat.png",
    "height": 512,
    "width": 768,
    "tiles": {"bundle": {"count": 2, "height": 512, "width": 512}},
    "machine": "x86_64",
    "instruction_set": "AVX2",
    "threads": 2,
    "rounds": 5,
    "compress": STAGE,
    "decompress": STAGE,
    "peak_mb": {"pytorch": 900.0, "bundle": 300.0},
    "deciding_ms": {"bundle": {"best": 100.0, "median": 110.0}},
}


def printed(**changes):
    text = io.StringIO()
    print_benchmark(RESULT | changes, Console(file=text, width=120))
    return text.getvalue()


def test_the_ratio_stands_beside_what_it_depends_on():
    text = printed()
    assert "512x768 (height x width), 2 tiles of 512x512" in text
    assert "x86_64 with AVX2, 2 threads" in text
    assert "1 tile of 64x128" in printed(tiles={"bundle": {"count": 1, "height": 64, "width": 128}})


def test_memory():
    assert printed().splitlines()[-1].split() == ["peak", "memory", "900", "MB", "300", "MB", "3.00"]


@pytest.mark.parametrize("side", ["pytorch", "bundle"])
def test_memory_that_the_system_does_not_say(side):
    text = printed(peak_mb=RESULT["peak_mb"] | {side: None})
    assert text.splitlines()[-1].split() == ["peak", "memory", "not", "known", "not", "known"]
