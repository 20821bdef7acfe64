"""Measure how the throughput of a Ray engine grows from one worker of one thread to two.

python ray_throughput.py BUNDLE FOLDER [--images N] [--rounds N]

One cluster of this machine compresses the images with one worker and with two, in turns, so that whatever else the
machine does meets both; processes without Ray do the same. Times are those of work, from when every worker has begun an
image to when the last image is done: what starts Ray and loads the bundle is left out.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from elic_runtime.commands.coding_jobs import CompressJob
from elic_runtime.commands.jobs import Pair, pair
from elic_runtime.container import SUFFIX
from elic_runtime.engines import RayEngine
from elic_runtime.engines.ray_cluster import cluster
from elic_runtime.images import image_files
from rich.console import Console
from rich.table import Table

WORKERS = (1, 2)


@dataclass(frozen=True)
class Span:
    """When an image was worked on, in seconds since the epoch, and by which process."""

    process: int
    start: float
    end: float

    def share(self, begin: float) -> float:
        """Return which part of it lies after a moment."""
        return max(0.0, self.end - max(self.start, begin)) / (self.end - self.start)


@dataclass(frozen=True)
class Timed:
    """Compresses images and returns the `Span` of each."""

    job: CompressJob

    def __call__(self) -> Callable[[Pair], Span]:
        """Load the codec."""
        run = self.job()

        def timed(files: Pair) -> Span:
            start = time.time()
            run(files)
            return Span(os.getpid(), start, time.time())

        return timed


def throughput(spans: Iterable[Span]) -> float:
    """Return the images per second of all workers together, once every one of them has begun."""
    spans = list(spans)
    first: dict[int, float] = {}
    for span in spans:
        first[span.process] = min(span.start, first.get(span.process, span.start))
    begin, end = max(first.values()), max(span.end for span in spans)
    return sum(span.share(begin) for span in spans) / (end - begin)


def by_ray(workers: int, pairs: list[Pair], job: Timed) -> list[Span]:
    """Compress images with the engine."""
    return [outcome.result() for _, outcome in RayEngine(workers).run(pairs, job)]


_loaded: dict[str, Callable[[Pair], Span]] = {}


def _load(job: Timed) -> None:
    _loaded["run"] = job()


def _work(files: Pair) -> Span:
    return _loaded["run"](files)


def by_processes(workers: int, pairs: list[Pair], job: Timed) -> list[Span]:
    """Compress images with processes of this program."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _load, (job,)) as pool:
        return list(pool.map(_work, pairs))


def main() -> None:
    """Measure in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, help="how many of the folder; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    job = Timed(CompressJob(str(Path(options.bundle).resolve()), threads=1))
    ways = {"Ray": by_ray, "processes": by_processes}
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    table = Table("round", *(f"{way}, {n}" for way in ways for n in WORKERS), *ways, box=None, pad_edge=False)
    with tempfile.TemporaryDirectory() as out, cluster("local", max(WORKERS)):
        images = image_files(options.folder.resolve())[: options.images]
        pairs = pair(options.folder, Path(out), images, (SUFFIX,), force=True)
        for number in range(options.rounds):
            rates = {}
            for workers in WORKERS if number % 2 == 0 else WORKERS[::-1]:
                for way, run in ways.items():
                    rates[way, workers] = throughput(run(workers, pairs, job))
            for way in ways:
                ratios[way].append(rates[way, 2] / rates[way, 1])
            shown = [f"{rates[way, n]:.3f}/s" for way in ways for n in WORKERS]
            table.add_row(str(number), *shown, *(f"{ratios[way][-1]:.2f}" for way in ways))
    table.add_row("median", *[""] * len(ways) * len(WORKERS), *(f"{statistics.median(ratios[w]):.2f}" for w in ways))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
