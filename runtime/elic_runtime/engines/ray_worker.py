"""What runs in the process of a Ray worker, and what it sends back."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, cast

from elic_runtime.engines.protocol import Result, Run
from elic_runtime.errors import ElicError


@dataclass(frozen=True)
class Returned(Generic[Result]):
    """What became of a job. Expected exceptions are data here, since Ray would wrap them in a trace.

    Parameters
    ----------
    value : object, optional
        What the job returned.
    error : Exception, optional
        What it raised.

    """

    value: Result | None = None
    error: Exception | None = None

    def result(self) -> Result:
        """Return what the job returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return cast("Result", self.value)


class Worker:
    """Runs jobs. An actor of Ray is made of this class.

    Parameters
    ----------
    make_run : callable
        Makes what runs a job, in this process.
    folder : Path
        The folder to work in, if the node has it, so that names of files mean what they mean to the driver.

    """

    def __init__(self, make_run: Callable[[], Run[Any, Any]], folder: Path) -> None:
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._make_run = make_run
        self._run: Run[Any, Any]

    def load(self) -> Returned[None]:
        """Make what runs jobs. This is not done in `__init__`, whose errors Ray would wrap."""
        return _caught(self._load)

    def work(self, job: Any) -> Returned[Any]:
        """Run a job, after `load`."""
        return _caught(lambda: self._run(job))

    def _load(self) -> None:
        self._run = self._make_run()


def _caught(call: Callable[[], Any]) -> Returned[Any]:
    try:
        return Returned(call())
    except (ElicError, OSError) as error:
        return Returned(error=error)
