"""Progress over windows, as an application is shown it."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Takes the number of windows that were computed, and of all that are known."""


class Ticks:
    """Counts windows, and shows them as progress."""

    def __init__(self, progress: Progress | None) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress

    def __call__(self) -> None:
        """Count a window."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self.total)
