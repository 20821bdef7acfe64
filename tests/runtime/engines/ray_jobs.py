"""Jobs that Ray's workers run for the tests; workers import this module by its name."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from elic_runtime.commands.coding_jobs import CompressJob
from elic_runtime.errors import ImageError

PATIENCE = 120
"""Seconds until a job no longer waits for other nodes."""


@dataclass(frozen=True)
class Recorded:
    """Runs another job, and keeps in a folder which process, and which node, has begun it: `NAME PID NODE`.

    No job goes on until as many nodes as are given have begun one: a slow one would otherwise get none.
    """

    job: CompressJob
    folder: Path
    nodes: int = 1

    def __call__(self):
        import ray

        run, node = self.job(), ray.get_runtime_context().get_node_id()

        def recorded(pair):
            with (self.folder / "begun").open("a") as file:
                file.write(f"{pair[0].name} {os.getpid()} {node}\n")
            end = time.monotonic() + PATIENCE
            while len({node for _, _, node in begun(self.folder)}) < self.nodes and time.monotonic() < end:
                time.sleep(0.02)
            return run(pair)

        return recorded


def begun(folder):
    """What was recorded so far: (name, process, node) of each job that has begun, in order."""
    path = folder / "begun"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(name, int(process), node) for name, process, node in map(str.split, lines)]


@dataclass(frozen=True)
class Sleepy:
    """Squares numbers. One kind of them is refused, one kind fails, one kills its worker."""

    refused: int | None = None
    failing: int | None = None
    deadly: int | None = None
    seconds: float = 0.0

    def __call__(self):
        return self.run

    def run(self, number):
        time.sleep(self.seconds * (number % 3))
        if number == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.refused:
            raise ImageError(f"{number}: no image")
        if number == self.failing:
            raise ZeroDivisionError(number)
        return number * number


def unloadable():
    """What loads nothing."""
    raise ImageError("nothing to load")


def deadly():
    """What kills the worker that loads it."""
    os.kill(os.getpid(), signal.SIGKILL)
