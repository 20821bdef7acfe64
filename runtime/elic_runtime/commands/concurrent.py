"""Run the jobs of a folder on several threads, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(jobs: Iterable[Job], run: Callable[[Job], Result], workers: int) -> Iterator[tuple[Job, "Future[Result]"]]:
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
