"""Run jobs on workers of Ray: processes of this machine, or of all machines of a cluster.

A worker is an actor that makes `run` once. If it dies, another one takes its place, here or on another node, and the
jobs that it had run again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from elic_runtime.engines.protocol import Job, MakeRun, Outcome, Result, WorkerError
from elic_runtime.engines.ray_cluster import cluster, room
from elic_runtime.engines.ray_dispatch import Dispatcher
from elic_runtime.engines.ray_worker import Worker


@dataclass(frozen=True)
class RayEngine:
    """The engine of a Ray cluster.

    Parameters
    ----------
    workers : int, optional
        How many workers there are. The default is as many as the cluster's processors have room for.
    threads : int
        Threads per operator of a worker's codec, and processors that a worker takes; at least 1.
    address : str, optional
        The cluster, as `ray.init` takes it. The default is what RAY_ADDRESS says, or else this machine.

    """

    workers: int | None = None
    threads: int = 1
    address: str | None = None
    in_process: ClassVar[bool] = False

    def run(self, jobs: Iterable[Job], make_run: MakeRun[Job, Result]) -> Iterator[tuple[Job, Outcome[Result]]]:
        """Run jobs as `Engine.run`. If the consumer stops, the workers are killed.

        Workers are in this process's working folder, if their node has it, so that names of files mean the same.
        """
        with cluster(self.address, (self.workers or 1) * self.threads) as ray:
            workers = self.workers or room(ray, self.threads)
            if workers == 0:
                raise WorkerError(f"no node of the Ray cluster has {self.threads} processors: use fewer threads")
            actor = ray.remote(Worker).options(num_cpus=self.threads, scheduling_strategy="SPREAD")
            start = partial(actor.remote, make_run, Path.cwd())
            dispatcher = Dispatcher[Job, Result](ray, jobs, start, workers)
            try:
                yield from dispatcher.outcomes()
            finally:
                dispatcher.close()
