"""Run jobs on threads of this process, in order and with bounded memory."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from elic_runtime.engines.protocol import Job, MakeRun, Outcome, Result, Run


@dataclass(frozen=True)
class Threads:
    """The engine of one process, whose threads share what `make_run` made.

    Parameters
    ----------
    workers : int
        How many jobs run at once, at least 1.
    threads : int
        Threads per operator of a codec; 0 stands for one per core.

    """

    workers: int = 1
    threads: int = 0
    in_process: ClassVar[bool] = True

    def run(self, jobs: Iterable[Job], make_run: MakeRun[Job, Result]) -> Iterator[tuple[Job, Outcome[Result]]]:
        """Run jobs as `Engine.run`. If the consumer stops, the jobs that have begun are completed."""
        return in_order(jobs, make_run(), self.workers)


def in_order(jobs: Iterable[Job], run: Run[Job, Result], workers: int) -> Iterator[tuple[Job, "Future[Result]"]]:
    """Run jobs on threads, and yield each with its future in the order of the jobs.

    A job begins only once the job that is `workers` places before it was yielded and its turn is over, so that no more
    than `workers` results are in memory. If the consumer stops, the jobs that have begun are completed.

    Parameters
    ----------
    jobs : iterable
        What to run. It is read when the next job is needed.
    run : callable
        Runs one job; it is called on several threads at once.
    workers : int
        The number of threads, at least 1.

    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Job, Future[Result]]] = deque()
        for job in jobs:
            waiting.append((job, pool.submit(run, job)))
            if len(waiting) == workers:
                yield waiting.popleft()
        yield from waiting
