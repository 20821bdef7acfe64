"""Which Ray worker has which job: hands jobs out, gives their outcomes in order, and gives those of the dead again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic

from elic_runtime.engines.protocol import Job, Outcome, Result, WorkerError
from elic_runtime.engines.ray_worker import Returned

IN_FLIGHT = 2
"""Jobs that a worker has at most: one runs, and the next is there when it is done."""

AHEAD = 8
"""Jobs per worker that are begun at most before the first of them is yielded: small ones overtake a large one."""

TRIES = 3
"""How many workers may die of one job, or in one's place while they load, before that is an error."""

_END = object()


@dataclass(eq=False)
class _Task(Generic[Job, Result]):
    job: Job
    outcome: Outcome[Result] | None = None
    deaths: int = 0


@dataclass(eq=False)
class _Slot(Generic[Job, Result]):
    """A worker or, if it died, the one in its place, and the jobs that it has, of which the first runs."""

    actor: Any
    loaded: bool = False
    deaths: int = 0
    tasks: list[_Task[Job, Result]] = field(default_factory=list)


class Dispatcher(Generic[Job, Result]):
    """Runs jobs on actors, once.

    Parameters
    ----------
    ray : module
        Ray, connected.
    jobs : iterable
        What to run.
    start : callable
        Starts an actor of `Worker` that Ray leaves dead once it has died: calls of one that it starts again are refused
        for as long as that takes, which looks like another death.
    workers : int
        How many actors work.

    """

    def __init__(self, ray: ModuleType, jobs: Iterable[Job], start: Callable[[], Any], workers: int) -> None:
        self._ray, self._jobs, self._start = ray, iter(jobs), start
        self._most = AHEAD * workers
        self._begun: deque[_Task[Job, Result]] = deque()  # those that were not yielded
        self._waiting: deque[_Task[Job, Result]] = deque()  # those of them that no worker has
        self._calls: dict[Any, tuple[_Slot[Job, Result], _Task[Job, Result] | None]] = {}
        self._slots = [_Slot[Job, Result](start()) for _ in range(workers)]
        for slot in self._slots:
            self._load(slot)

    def outcomes(self) -> Iterator[tuple[Job, Outcome[Result]]]:
        """Yield each job with its outcome, in the order of the jobs.

        Raises
        ------
        Exception
            What a worker raised when it loaded.
        WorkerError
            If a worker dies whenever it loads.

        """
        while self._begin():
            if (outcome := self._begun[0].outcome) is not None:
                yield self._begun.popleft().job, outcome
            else:
                self._hand_out()
                self._settle()

    def close(self) -> None:
        """Kill the workers."""
        for slot in self._slots:
            self._ray.kill(slot.actor)

    def _begin(self) -> bool:
        """Read as many jobs as may begin. Returns whether any is left to yield."""
        while len(self._begun) < self._most and (job := next(self._jobs, _END)) is not _END:
            task = _Task[Job, Result](job)  # type: ignore[arg-type]  # mypy does not tell _END from a job
            self._begun.append(task)
            self._waiting.append(task)
        return bool(self._begun)

    def _load(self, slot: _Slot[Job, Result]) -> None:
        """Have a worker load. It gets jobs once it has, so that none waits for a node that is gone."""
        slot.loaded = False
        self._calls[slot.actor.load.remote()] = slot, None

    def _hand_out(self) -> None:
        """Give jobs to the workers that have the fewest."""
        while self._waiting:
            slot = min((s for s in self._slots if s.loaded), key=lambda s: len(s.tasks), default=None)
            if slot is None or len(slot.tasks) == IN_FLIGHT:
                return
            task = self._waiting.popleft()
            slot.tasks.append(task)
            self._calls[slot.actor.work.remote(task.job)] = slot, task

    def _settle(self) -> None:
        """Wait for a call to end, and take what it returned."""
        (call,), _ = self._ray.wait(list(self._calls))
        slot, task = self._calls.pop(call)
        try:
            returned: Returned[Any] = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:  # an exception that nobody expects, with its trace
            returned = Returned(error=error)
        except self._ray.exceptions.RayError as death:
            self._died(slot, death)
            return
        if task is None:
            returned.result()
            slot.loaded, slot.deaths = True, 0
        else:
            slot.tasks.remove(task)
            task.outcome = returned

    def _died(self, slot: _Slot[Job, Result], death: Exception) -> None:
        """Take a worker's jobs back, and have another one load in its place."""
        self._calls = {call: held for call, held in self._calls.items() if held[0] is not slot}
        tasks, slot.tasks = slot.tasks, []
        if not tasks:
            slot.deaths += 1
            if slot.deaths == TRIES:
                raise WorkerError(f"{TRIES} workers died while they loaded: {_last_line(death)}")
        elif self._gives_up(tasks[0]):
            tasks = tasks[1:]
        self._waiting.extendleft(reversed(tasks))
        self._ray.kill(slot.actor)  # it may be alive where it cannot be reached
        slot.actor = self._start()
        self._load(slot)

    def _gives_up(self, task: _Task[Job, Result]) -> bool:
        """Count a worker's death against the job that it ran. Returns whether that was the last try."""
        task.deaths += 1
        if task.deaths < TRIES:
            return False
        message = f"{TRIES} workers died of it: they ran out of memory, or crashed; the logs of Ray's nodes say more"
        task.outcome = Returned(error=WorkerError(message))
        return True


def _last_line(error: Exception) -> str:
    """Return what a message of Ray comes to: it ends with the exception in the worker, if there was one."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
