"""The types of runners, each of which is one loaded subgraph, and of what loads them.

`Codec.load(runner=...)` takes a factory, so that an application can run subgraphs with the API of its NPU. Engines are
the project's own: each loads what one compiler made of a bundle's transforms.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from elic_runtime.entries import Interface

Arrays = dict[str, NDArray[Any]]
"""Arrays by the names of tensors."""

Runner = Callable[[Arrays], Arrays]
"""Inputs -> outputs, with the names, data types and shapes that the manifest states.

It may have a method `close`, which `Codec.close` calls.
"""


class Closable(Protocol):
    """A runner that holds memory until it is closed."""

    def __call__(self, inputs: Arrays) -> Arrays:
        """Run the subgraph."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


RunnerFactory = Callable[[str, Path, Interface], Runner]
"""(name of a subgraph, its checked file, its inputs and outputs) -> its runner."""


class Engine(Protocol):
    """Loads the subgraphs that one compiler made. It is never given one that decides symbols."""

    def load(self, graph: Path, info: Interface) -> Runner:
        """Load one subgraph.

        Parameters
        ----------
        graph : Path
            The compiled file.
        info : Interface
            Its inputs and outputs.

        Raises
        ------
        Exception
            Whatever the engine raises; `Compiled` names the subgraph and the engine.

        """
        ...


def describe_backend(factory: RunnerFactory) -> str:
    """Return a factory's name for messages: the name of a function, or else `str(factory)`."""
    return f"the runner {factory.__qualname__}" if hasattr(factory, "__qualname__") else str(factory)
