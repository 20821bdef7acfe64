"""What the benchmark prints; `test_cli.py` runs it."""

import io

import pytest
from elic_export.benchmark_table import print_benchmark
from elic_export.steadiness import is_steady, peak_gflops
from rich.console import Console

STAGE = {
    "best_seconds": {"pytorch": 3.0, "bundle": 1.0},
    "median_seconds": {"pytorch": 3.2, "bundle": 1.1},
    "best_ratio": 3.0,
    "median_ratio": 2.9,
    "outside_subgraphs_ms": 20.0,
    "parts_ms": {"transforms": 700.0, "context": 80.0, "coding": 4.0, "rest": 16.0},
}
RESULT = {
    "image": "cat.png",
    "height": 512,
    "width": 768,
    "windows": {"bundle": {"count": 2, "height": 512, "width": 512}},
    "machine": "x86_64",
    "instruction_set": "AVX2",
    "threads": 2,
    "runner": "onnxruntime",
    "rounds": 5,
    "rounds_dropped": 0,
    "steady": True,
    "peak_gflops": 90.0,
    "compress": STAGE,
    "decompress": STAGE,
    "peak_mb": {"pytorch": 900.0, "bundle": 300.0},
    "deciding_ms": {"bundle": {"best": 100.0, "median": 110.0}},
}


def printed(**changes):
    text = io.StringIO()
    print_benchmark(RESULT | changes, Console(file=text, width=120))
    return text.getvalue()


def line_of(start, text):
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line


def test_the_parts_of_a_stage_are_bars_of_one_scale():
    text = printed()
    longest = line_of("g_a, h_a, g_s", text).split("700.0")[1]
    assert longest.count("█") == 20
    assert line_of("h_s and context", text).split("80.0")[1].count("█") == 2
    assert "entropy coding" in text


def test_rounds_at_another_speed_are_said():
    assert "speed" not in printed()
    assert "2 more rounds do not count: the processor's speed changed during them" in printed(rounds_dropped=2)
    assert "do not rely on these numbers" in printed(steady=False)


def test_rates_within_a_tenth_are_steady():
    assert peak_gflops() > 0
    assert is_steady(100, 91)
    assert is_steady(91, 100)
    assert not is_steady(100, 89)


def test_the_ratio_stands_beside_what_it_depends_on():
    text = printed()
    assert "512x768 (height x width), 2 windows of 512x512" in text
    assert "x86_64 with AVX2, 2 threads" in text
    assert "1 window of 64x128" in printed(windows={"bundle": {"count": 1, "height": 64, "width": 128}})


def test_memory():
    assert line_of("peak memory", printed()).split() == ["peak", "memory", "900", "MiB", "300", "MiB", "3.00"]


@pytest.mark.parametrize("side", ["pytorch", "bundle"])
def test_memory_that_the_system_does_not_say(side):
    text = printed(peak_mb=RESULT["peak_mb"] | {side: None})
    assert line_of("peak memory", text).split() == ["peak", "memory", "not", "known", "not", "known"]
