"""PyTorch and the bundle side by side: time in turns, peak memory apart.

Each side is a process of its own, so that neither's threads nor memory are the
other's; they take turns, so that a busy machine slows both. Nothing of either side is
imported at the top: a process holds its own side only.
"""

import multiprocessing
import re
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_export.errors import ExportError

STAGES = ("compress", "decompress")

Timing = dict[str, float]
Pixels = NDArray[np.uint8]
Result = dict[str, Any]
Side = Callable[[Path, Pixels, int], Callable[[], Timing]]


def run_benchmark(
    bundle: Path, checkpoint: Path, image: Path, threads: int, rounds: int, against: Path | None = None
) -> Result:
    """Time both sides, and another bundle if one is given, on one photograph.

    Returns seconds (best and median of `rounds`), their ratios, the bundle's milliseconds
    outside of its subgraphs and in those that decide symbols, and peak memory of each process in MB.
    Raises ExportError, ElicError for input that either side refuses.
    """
    from elic_runtime.bundle import Bundle
    from elic_runtime.files import sha256_file
    from elic_runtime.images import read_image

    pixels = read_image(image)
    sides: dict[str, tuple[Side, Path]] = {"pytorch": (_pytorch_side, checkpoint), "bundle": (_bundle_side, bundle)}
    if against is not None:
        sides["against"] = (_bundle_side, against)
    digest = sha256_file(checkpoint)
    for work, path in sides.values():
        if work is _bundle_side and Bundle(path).manifest.checkpoint.sha256 != digest:
            raise ExportError(f"{path}: exported from another checkpoint: pass it with --checkpoint")
    context = multiprocessing.get_context("spawn")
    workers = {}
    for side, (work, path) in sides.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, path, pixels, threads), daemon=True)
        process.start()
        workers[side] = process, ours
    try:
        for _, pipe in workers.values():
            _receive(pipe)
        runs: dict[str, list[Timing]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, (_, pipe) in workers.items():
                pipe.send("run")
                runs[side].append(_receive(pipe))
    finally:
        for process, _ in workers.values():
            process.terminate()
    return _summarize(runs, image, threads)


def _receive(pipe: Connection) -> Timing:
    try:
        answer = pipe.recv()
    except EOFError:
        raise ExportError("a benchmark process died") from None
    if isinstance(answer, str):
        raise ExportError(answer)
    return answer


def _serve(
    pipe: Connection,
    side: Side,
    path: Path,
    pixels: Pixels,
    threads: int,
) -> None:
    """A process's loop: load, warm up, then one timing per message."""
    try:
        run = side(path, pixels, threads)
        run()
    except Exception as error:  # whatever it is, the parent says it
        pipe.send(str(error) if str(path) in str(error) else f"{path}: {error}")
        return
    while True:
        pipe.send(run() | {"peak_mb": _peak_mb()})
        pipe.recv()


def _peak_mb() -> float:
    """Peak resident memory of this process. Linux's ru_maxrss would begin at its parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _pytorch_side(checkpoint: Path, pixels: Pixels, threads: int) -> Callable[[], Timing]:
    import torch
    from elic_models import load_checkpoint
    from torch.nn.functional import pad

    torch.set_num_threads(threads)
    model = load_checkpoint(checkpoint).model
    image = torch.from_numpy(pixels.copy())

    @torch.inference_mode()
    def run() -> Timing:
        start = time.perf_counter()
        x = image.permute(2, 0, 1)[None].float() / 255
        x = pad(x, (0, -x.shape[3] % 64, 0, -x.shape[2] % 64), mode="replicate")
        coded = model.compress(x)
        middle = time.perf_counter()
        x_hat = model.decompress(coded["strings"], coded["shape"])["x_hat"]
        (x_hat * 255).round().byte()[0].permute(1, 2, 0).numpy()
        return {"compress": middle - start, "decompress": time.perf_counter() - middle}

    return run


def _bundle_side(bundle: Path, pixels: Pixels, threads: int) -> Callable[[], Timing]:
    from elic_runtime import Codec
    from elic_runtime.bundle import Bundle
    from elic_runtime.conformance import deciding_names
    from elic_runtime.manifest import SubgraphInfo
    from elic_runtime.runners import Arrays, Runner, onnxruntime_factory

    factory = onnxruntime_factory(threads=threads)
    deciding = deciding_names(len(Bundle(bundle).manifest.model.groups))
    inside: dict[str, float] = {}

    def timed(name: str, graph: Path, info: SubgraphInfo) -> Runner:
        runner = factory(name, graph, info)

        def run_graph(inputs: Arrays) -> Arrays:
            start = time.perf_counter()
            outputs = runner(inputs)
            inside[name] = inside.get(name, 0.0) + time.perf_counter() - start
            return outputs

        return run_graph

    codec = Codec.load(bundle, runner=timed)
    stages: dict[str, Callable[[Any], Any]] = {"compress": codec.compress, "decompress": codec.decompress}

    def run() -> Timing:
        timing = {}
        data: Any = pixels
        for stage, work in stages.items():
            inside.clear()
            start = time.perf_counter()
            data = work(data)
            timing[stage] = time.perf_counter() - start
            timing[f"{stage}_outside"] = timing[stage] - sum(inside.values())
            timing[f"{stage}_deciding"] = sum(inside[name] for name in deciding)
        return timing

    return run


def _summarize(runs: dict[str, list[Timing]], image: Path, threads: int) -> Result:
    result: Result = {"image": str(image), "threads": threads, "rounds": len(runs["bundle"])}
    for stage in STAGES:
        best = {side: min(run[stage] for run in runs[side]) for side in runs}
        median = {side: statistics.median(run[stage] for run in runs[side]) for side in runs}
        outside = statistics.median(run[f"{stage}_outside"] for run in runs["bundle"])
        result[stage] = {
            "best_seconds": best,
            "median_seconds": median,
            "best_ratio": best["pytorch"] / best["bundle"],
            "median_ratio": median["pytorch"] / median["bundle"],
            "outside_subgraphs_ms": outside * 1000,
        }
    result["peak_mb"] = {side: runs[side][-1]["peak_mb"] for side in runs}
    result["deciding_ms"] = {
        side: {
            name: 1000 * choose(run[f"{stage}_deciding"] for run in runs[side] for stage in STAGES)
            for name, choose in (("best", min), ("median", statistics.median))
        }
        for side in runs
        if side != "pytorch"
    }
    return result


def print_benchmark(result: Result, console: Console) -> None:
    """The result as a table."""
    title = f"{escape(result['image'])}, {result['threads']} threads, best (median) of {result['rounds']}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    sides = ("pytorch", "bundle")
    for column in ("", "PyTorch", "bundle", "ratio", "outside the subgraphs"):
        table.add_column(column, justify="left" if not column else "right")
    for stage in STAGES:
        row = result[stage]
        best, median = row["best_seconds"], row["median_seconds"]
        table.add_row(
            stage,
            *(f"{best[side]:.2f} s ({median[side]:.2f})" for side in sides),
            f"{row['best_ratio']:.2f} ({row['median_ratio']:.2f})",
            f"{row['outside_subgraphs_ms']:.0f} ms",
        )
    peak = result["peak_mb"]
    table.add_row(
        "peak memory", *(f"{peak[side]:.0f} MB" for side in sides), f"{peak['pytorch'] / peak['bundle']:.2f}", ""
    )
    console.print(table)
    deciding = result["deciding_ms"]
    if "against" in deciding:
        bundle, against = deciding["bundle"], deciding["against"]
        console.print(
            f"h_s and context, ms: {bundle['best']:.1f} ({bundle['median']:.1f}), "
            f"against {against['best']:.1f} ({against['median']:.1f}), "
            f"ratio {bundle['best'] / against['best']:.2f} ({bundle['median'] / against['median']:.2f})"
        )
