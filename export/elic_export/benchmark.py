"""Time the bundle against PyTorch: seconds in turns, where they go, and the peak memory of each.

Each side runs in a worker process of its own, so that neither uses the other's threads or memory. The sides take
turns, so that a busy machine slows both; a round during which the processor's speed changed is dropped. Nothing of
either side is imported at the top of this module: a worker imports its own side only.
"""

import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elic_export.errors import ExportError
from elic_export.memory import peak_mb
from elic_export.steadiness import is_steady, peak_gflops

STAGES = ("compress", "decompress")

PARTS = {"transforms": "g_a, h_a, g_s", "context": "h_s and context", "coding": "entropy coding", "rest": "rest"}
"""What the time of a bundle's stage consists of, and its name for people."""

Timing = dict[str, float]
"""Seconds of each stage of one run and, of a bundle, of the stage's parts; and the worker's peak memory in MiB."""

Pixels = NDArray[np.uint8]
"""A photograph, uint8 [H, W, 3]."""

Result = dict[str, Any]

Side = Callable[[Path, Pixels, int], Callable[[], Timing]]
"""Loads a bundle or a checkpoint, and returns what times one run over a photograph with that many threads."""

_worker: dict[str, Callable[[], Timing]] = {}
"""What this process times, under the key `run`; empty in the parent process."""


def run_benchmark(
    bundle: Path,
    checkpoint: Path,
    image: Path,
    threads: int,
    rounds: int,
    against: Path | None = None,
    key: str | None = None,
    variant: str | None = None,
    runner: str = "onnxruntime",
) -> Result:
    """Time PyTorch and a bundle on one photograph.

    Parameters
    ----------
    bundle : Path
        Folder of the bundle.
    checkpoint : Path
        File of the checkpoint that the bundle was exported from.
    image : Path
        File of the photograph.
    threads : int
        Threads that each side computes with.
    rounds : int
        Timed runs of each side.
    against : Path, optional
        Folder of another bundle of the same checkpoint, which is timed as well.
    key, variant : str, optional
        Which network of the checkpoint to read, and which ELIC it must be; see `elic_models.load_checkpoint`.
    runner : str
        What runs the bundle: one of `elic_runtime.runners.RUNNERS`. ONNX Runtime runs the other one.

    Returns
    -------
    dict
        By stage: best and median seconds of each side, their ratios, the bundle's milliseconds outside of its
        subgraphs, and the median milliseconds of its parts. By side: peak memory in MiB, None where the operating
        system does not report it, and milliseconds in the subgraphs that decide symbols. Besides them what the ratios
        depend on: the processor's instruction set, the median rate of a matrix multiplication between the rounds, how
        many rounds were kept and how many dropped, and the windows that each bundle computes the photograph in.

    Raises
    ------
    ExportError
        If a bundle was exported from another checkpoint, or if either side fails.
    ElicError
        If the photograph or a bundle cannot be read.

    """
    from elic_runtime.bundle import Bundle
    from elic_runtime.files import sha256_file
    from elic_runtime.images import read_image
    from elic_runtime.shapes import DOWNSAMPLING

    pixels = read_image(image)
    pytorch_side = partial(_pytorch_side, multiple=DOWNSAMPLING, key=key, variant=variant)
    bundles = {"bundle": (bundle, runner)} | ({"against": (against, "onnxruntime")} if against is not None else {})
    sides: dict[str, tuple[Side, Path]] = {"pytorch": (pytorch_side, checkpoint)}
    sides |= {side: (partial(_bundle_side, runner=name), path) for side, (path, name) in bundles.items()}
    digest = sha256_file(checkpoint)
    for path, _ in bundles.values():
        if Bundle(path).manifest.checkpoint.sha256 != digest:
            raise ExportError(f"{path}: exported from another checkpoint; pass that one with --checkpoint")
    runs, machine = _time_in_turns(sides, pixels, threads, rounds)
    cuts = {side: _cut(path, pixels) for side, (path, _) in bundles.items()}
    return _conditions(image, pixels, threads, cuts) | {"runner": runner} | machine | _summarize(runs)


def _time_in_turns(
    sides: dict[str, tuple[Side, Path]], pixels: Pixels, threads: int, rounds: int
) -> tuple[dict[str, list[Timing]], Result]:
    """Load all sides at once, then time them one after the other, `rounds` times.

    Rounds during which the processor's speed changed are repeated, but not more than `rounds` times. If it never was
    steady, all rounds count. Returns the runs of each side, and the facts about the rounds.
    """
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        workers = {side: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn)) for side in sides}
        try:
            loading = [workers[side].submit(_load, *sides[side], pixels, threads) for side in sides]
            for loaded in loading:
                loaded.result()
            kept: list[dict[str, Timing]] = []
            dropped: list[dict[str, Timing]] = []
            rates = [peak_gflops()]
            while len(kept) < rounds and len(dropped) < rounds:
                timings = {side: worker.submit(_run).result() for side, worker in workers.items()}
                rates.append(peak_gflops())
                (kept if is_steady(*rates[-2:]) else dropped).append(timings)
        except BrokenProcessPool:
            raise ExportError("a benchmark process died") from None
    counted = kept or dropped
    facts = {
        "peak_gflops": statistics.median(rates),
        "rounds": len(counted),
        "rounds_dropped": len(dropped) if kept else 0,
        "steady": bool(kept),
    }
    return {side: [timings[side] for timings in counted] for side in sides}, facts


def _load(side: Side, path: Path, pixels: Pixels, threads: int) -> None:
    """Load a side into this worker process, and run it once to warm up."""
    try:
        _worker["run"] = side(path, pixels, threads)
        _worker["run"]()
    except Exception as error:  # not every exception can be pickled; the parent process reports the message
        raise ExportError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _run() -> Timing:
    """Time one run in this worker process."""
    timing, peak = _worker["run"](), peak_mb()
    return timing | ({} if peak is None else {"peak_mb": peak})


def _pytorch_side(
    checkpoint: Path, pixels: Pixels, threads: int, *, multiple: int, key: str | None, variant: str | None
) -> Callable[[], Timing]:
    import torch
    from elic_models import load_checkpoint
    from torch.nn.functional import pad

    torch.set_num_threads(threads)
    model = load_checkpoint(checkpoint, variant, key).model
    image = torch.from_numpy(pixels.copy())

    @torch.inference_mode()
    def run() -> Timing:
        start = time.perf_counter()
        x = image.permute(2, 0, 1)[None].float() / 255
        x = pad(x, (0, -x.shape[3] % multiple, 0, -x.shape[2] % multiple), mode="replicate")
        coded = model.compress(x)
        middle = time.perf_counter()
        x_hat = model.decompress(coded["strings"], coded["shape"])["x_hat"]
        (x_hat * 255).round().byte()[0].permute(1, 2, 0).numpy()
        return {"compress": middle - start, "decompress": time.perf_counter() - middle}

    return run


def _bundle_side(folder: Path, pixels: Pixels, threads: int, *, runner: str) -> Callable[[], Timing]:
    from elic_runtime import Codec
    from elic_runtime.runners import open_with
    from elic_runtime.shapes import MAX_PIXELS
    from elic_runtime.stopwatch import CODING, Stopwatch
    from elic_runtime.subgraphs import deciding_names

    bundle, factory = open_with(folder, runner, threads=threads)
    deciding = deciding_names(bundle.manifest.model)
    stopwatch = Stopwatch()
    codec = Codec(bundle, stopwatch.factory(factory), encode=True, decode=True, max_pixels=MAX_PIXELS)
    codec.coder = stopwatch.coder(codec.coder)
    stages: dict[str, Callable[[Any], Any]] = {"compress": codec.compress, "decompress": codec.decompress}

    def run() -> Timing:
        timing = {}
        data: Any = pixels
        for stage, work in stages.items():
            stopwatch.reset()
            start = time.perf_counter()
            data = work(data)
            timing[stage] = time.perf_counter() - start
            inside = stopwatch.seconds
            coding = inside.pop(CODING)
            context = sum(inside[name] for name in deciding)
            graphs = sum(inside.values())
            parts = (graphs - context, context, coding, timing[stage] - graphs - coding)
            timing |= {f"{stage}_{part}": seconds for part, seconds in zip(PARTS, parts, strict=True)}
        return timing

    return run


def _cut(bundle: Path, pixels: Pixels) -> dict[str, int]:
    """Return in how many windows or tiles g_s computes a photograph, and height and width of the first in pixels."""
    from elic_runtime import Codec
    from elic_runtime.tiles import TileGrid
    from elic_runtime.windows import DEFAULT_HALO, Windows, halo_of_transform

    with Codec.load(bundle) as codec:
        windowed, manifest = codec.windowed, codec.bundle.manifest
    if not windowed:
        grid = TileGrid.within(pixels.shape[0], pixels.shape[1], manifest.encoder)
        return {"count": grid.tiles, "height": grid.tile_height, "width": grid.tile_width}
    halo = halo_of_transform(DEFAULT_HALO, manifest.reach("g_s"))
    windows = Windows.of(manifest.table["g_s"], manifest.extent("g_s"), halo)
    whole = TileGrid.whole(pixels.shape[0], pixels.shape[1], manifest.encoder)
    areas = windows.over(*whole.tile)
    height, width = areas[0].shape
    return {"count": len(areas), "height": height, "width": width}


def _conditions(image: Path, pixels: Pixels, threads: int, cuts: dict[str, dict[str, int]]) -> Result:
    """Return the conditions that the numbers hold for."""
    from torch.backends.cpu import get_cpu_capability  # not at the top, since workers import this module

    return {
        "image": str(image),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "windows": cuts,
        "machine": platform.machine(),
        "instruction_set": get_cpu_capability(),
        "threads": threads,
    }


def _summarize(runs: dict[str, list[Timing]]) -> Result:
    result: Result = {}
    for stage in STAGES:
        best = {side: min(run[stage] for run in runs[side]) for side in runs}
        median = {side: statistics.median(run[stage] for run in runs[side]) for side in runs}
        parts = {part: 1000 * statistics.median(run[f"{stage}_{part}"] for run in runs["bundle"]) for part in PARTS}
        outside = statistics.median(run[f"{stage}_coding"] + run[f"{stage}_rest"] for run in runs["bundle"])
        result[stage] = {
            "best_seconds": best,
            "median_seconds": median,
            "best_ratio": best["pytorch"] / best["bundle"],
            "median_ratio": median["pytorch"] / median["bundle"],
            "outside_subgraphs_ms": outside * 1000,
            "parts_ms": parts,
        }
    result["peak_mb"] = {side: runs[side][-1].get("peak_mb") for side in runs}
    result["deciding_ms"] = {
        side: {
            name: 1000 * choose(run[f"{stage}_context"] for run in runs[side] for stage in STAGES)
            for name, choose in (("best", min), ("median", statistics.median))
        }
        for side in runs
        if side != "pytorch"
    }
    return result
