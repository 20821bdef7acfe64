"""How `elic-export compile` runs the script that a target writes, and what it makes of it."""

from dataclasses import dataclass

from elic_runtime.entries import GraphPrecision


@dataclass(frozen=True)
class Hint:
    """What a message of a compiler means for the graph.

    Parameters
    ----------
    pattern : str
        Regular expression of the message.
    advice : str
        The operator and the rewrite that helps.

    """

    pattern: str
    advice: str


@dataclass(frozen=True)
class Compilation:
    """How a target's script compiles transforms.

    Parameters
    ----------
    distribution : str
        The tool's name on PyPI, whose version is recorded.
    install : str
        How to install it.
    suffix : str
        Ending of the file that the runner loads.
    companions : tuple of str
        Endings of the files beside it that belong to it. `.onnx` is the graph itself, for a simulator that reads it.
    platforms : tuple of str
        What it compiles for, the default first. The script takes `--platform` unless the list is empty.
    runnable : tuple of str
        Those of the platforms that can be run where it compiles; of an empty list, the default platform can.
    rewrites : tuple of str
        The rewrites of the graphs that it takes, by measurement.
    precisions : tuple of {"fp32", "fp16", "int8"}
        Precisions of its result, the default first. The script takes `--precision` if there are several but int8,
        for which the graphs themselves have QuantizeLinear and DequantizeLinear.
    open_shapes : bool
        Whether it takes graphs with open dimensions.
    simulated : bool
        Whether the result runs in a simulator here.
    environment : str, optional
        Name of a virtual environment of its own in the checkout, which `make setup-TOOL` makes.
    hints : tuple of Hint
        What its messages mean.

    """

    distribution: str
    install: str
    suffix: str
    companions: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    runnable: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()
    precisions: tuple[GraphPrecision, ...] = ("fp32",)
    open_shapes: bool = True
    simulated: bool = False
    environment: str | None = None
    hints: tuple[Hint, ...] = ()

    @property
    def stored(self) -> tuple[GraphPrecision, ...]:
        """Precisions that the script may be asked for."""
        return tuple(precision for precision in self.precisions if precision != "int8")
