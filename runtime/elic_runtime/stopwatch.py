"""Where the time of a codec goes: seconds of each subgraph and of the entropy coder.

A stopwatch is put between a codec and its runners and coder. It is used by `elic eval` and `elic-export bench`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elic_runtime.coder import Coder, Indexes, Symbols
from elic_runtime.entries import Interface
from elic_runtime.runners import Arrays, Runner, RunnerFactory
from elic_runtime.tables import CdfTables

CODING = "entropy coding"
"""The name under which the coder's seconds are added."""


class Stopwatch(threading.local):
    """Adds the seconds of what it watches, for each thread on its own, since several may use one codec."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """Seconds of this thread since its last `reset`, by subgraph, and of the coder under `CODING`."""

    def reset(self) -> None:
        """Begin again."""
        self.seconds = {}

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the time of the block under a name."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def factory(self, factory: RunnerFactory) -> RunnerFactory:
        """Return a factory whose runners are timed."""

        def load(name: str, graph: Path, info: Interface) -> Runner:
            runner = factory(name, graph, info)

            def run(inputs: Arrays) -> Arrays:
                with self.timing(name):
                    return runner(inputs)

            return run

        return load

    def coder(self, coder: Coder) -> Coder:
        """Return a coder that is timed."""
        return _TimedCoder(coder, self)


class _TimedCoder:
    def __init__(self, coder: Coder, stopwatch: Stopwatch) -> None:
        self.name = coder.name
        self._coder, self._stopwatch = coder, stopwatch

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Encode as `Coder.encode`."""
        with self._stopwatch.timing(CODING):
            return self._coder.encode(symbols, indexes, tables)

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """Decode as `Coder.decode`."""
        with self._stopwatch.timing(CODING):
            return self._coder.decode(data, indexes, tables)
