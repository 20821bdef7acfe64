"""The factory that runs what was compiled in the compiler's engine, and the other subgraphs in ONNX Runtime."""

import threading
from collections.abc import Collection
from pathlib import Path

from elic_runtime.entries import Interface
from elic_runtime.errors import BundleError
from elic_runtime.runners.onnxruntime import OnnxRuntime
from elic_runtime.runners.protocol import Arrays, Engine, Runner
from elic_runtime.runners.quiet import quietly


class Compiled:
    """A factory of two backends; `open_with` creates it.

    Parameters
    ----------
    engine : Engine
        Loads the compiled transforms.
    compiled : collection of str
        Their names.
    others : OnnxRuntime
        Loads the other subgraphs, of which those that decide symbols must be exact.

    """

    def __init__(self, engine: Engine, compiled: Collection[str], others: OnnxRuntime) -> None:
        self.engine = engine
        self.others = others
        self._compiled = compiled

    def __str__(self) -> str:
        return str(self.engine)

    def __call__(self, name: str, graph: Path, info: Interface) -> Runner:
        """Load one subgraph.

        Parameters
        ----------
        name : str
            Name of the subgraph.
        graph : Path
            Its compiled file or, if it was not compiled, its ONNX file.
        info : Interface
            Its inputs and outputs.

        Raises
        ------
        BundleError
            If the file cannot be loaded.

        """
        if name not in self._compiled:
            return self.others(name, graph, info)
        try:
            with quietly():
                return _Serial(f"{self.engine} cannot run {name}", self.engine.load(graph, info))
        except Exception as error:
            raise BundleError(f"{graph}: {self.engine} cannot load {name}: {_one_line(error)}") from None


class _Serial:
    """A runner that is used by one thread at a time, since engines do not promise more, and that raises BundleError."""

    def __init__(self, problem: str, runner: Runner) -> None:
        self._problem, self._runner = problem, runner
        self._lock = threading.Lock()

    def __call__(self, inputs: Arrays) -> Arrays:
        with self._lock:
            try:
                return self._runner(inputs)
            except Exception as error:
                raise BundleError(f"{self._problem}: {_one_line(error)}") from None

    def close(self) -> None:
        """Release what the runner holds."""
        close = getattr(self._runner, "close", None)
        if close is not None:
            close()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
