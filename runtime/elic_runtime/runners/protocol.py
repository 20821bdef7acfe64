"""What every runner is: one loaded subgraph, named arrays in, named arrays out.

A factory loads them; `Codec.load(runner=...)` takes one, so that an NPU's API needs ten lines.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from elic_runtime.manifest import SubgraphInfo

Arrays = dict[str, NDArray[Any]]

Runner = Callable[[Arrays], Arrays]
"""Inputs by name -> outputs by name, of the dtypes and shapes that the manifest states."""

RunnerFactory = Callable[[str, Path, SubgraphInfo], Runner]
"""(subgraph's name, its checked .onnx file, its manifest entry) -> its runner."""


def describe_backend(factory: RunnerFactory) -> str:
    """A factory's name for messages: its `__str__`, a function's own name."""
    return f"the runner {factory.__qualname__}" if hasattr(factory, "__qualname__") else str(factory)
