"""The types of engines: what runs jobs, several at once, and gives each with its outcome in their order."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from elic_runtime.errors import ElicError

Job = TypeVar("Job")
Result = TypeVar("Result")
_Found_co = TypeVar("_Found_co", covariant=True)

Run = Callable[[Job], Result]
"""Runs one job. It may be run again if a worker dies, so it must not mind what an earlier try has left."""

MakeRun = Callable[[], Run[Job, Result]]
"""Makes what runs jobs: loads what they share."""


class Outcome(Protocol[_Found_co]):
    """What became of a job, as a future tells it."""

    def result(self) -> _Found_co:
        """Return the job's result, or raise what it raised."""
        ...


class Engine(Protocol):
    """Runs jobs."""

    @property
    def threads(self) -> int:
        """Threads per operator that `make_run` is to load a codec with; 0 stands for one per core."""
        ...

    @property
    def in_process(self) -> bool:
        """Whether jobs run in this process, so that they can show their progress, and read standard input."""
        ...

    def run(
        self, jobs: Iterable[Job], make_run: Callable[[], Run[Job, Result]]
    ) -> Iterator[tuple[Job, Outcome[Result]]]:
        """Run jobs, and yield each with its outcome in the order of the jobs.

        Only so many jobs begin before the first of them is yielded that memory is bounded.

        Parameters
        ----------
        jobs : iterable
            What to run. It is read when the next job is needed. Another process gets a job as a pickle.
        make_run : callable
            Makes what runs a job. It is called once in every process that does: there it loads what the jobs share.
            Another process gets it as a pickle.

        Raises
        ------
        Exception
            What `make_run` raises; the outcome of a job holds what the job raises.
        WorkerError
            If there can be no workers.

        """
        ...


class WorkerError(ElicError):
    """Raised if workers cannot be had, or die again and again."""
