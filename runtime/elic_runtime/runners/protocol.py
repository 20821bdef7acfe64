"""The types of runners, each of which is one loaded subgraph, and of the factories that load them.

`Codec.load(runner=...)` takes a factory, so that an application can run subgraphs with the API of its NPU.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from elic_runtime.manifest import SubgraphInfo

Arrays = dict[str, NDArray[Any]]
"""Arrays by the names of tensors."""

Runner = Callable[[Arrays], Arrays]
"""Inputs -> outputs, with the names, data types and shapes that the manifest states."""

RunnerFactory = Callable[[str, Path, SubgraphInfo], Runner]
"""(name of a subgraph, its checked ONNX file, its entry in the manifest) -> its runner."""


def describe_backend(factory: RunnerFactory) -> str:
    """Return a factory's name for messages: the name of a function, or else `str(factory)`."""
    return f"the runner {factory.__qualname__}" if hasattr(factory, "__qualname__") else str(factory)
