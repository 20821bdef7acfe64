"""How to compile: what `elic-export compile` and `compile_bundle` are asked for."""

from dataclasses import dataclass
from pathlib import Path

from elic_runtime.entries import GraphPrecision


@dataclass(frozen=True)
class CompileSettings:
    """How to compile.

    Parameters
    ----------
    platform : str, optional
        What to compile for. The default is the tool's first platform.
    precision : {"fp32", "fp16", "int8"}, optional
        Precision of the result. The default is the tool's first one.
    rewrites : tuple of str, optional
        Names of the rewrites. The default is those that suit the tool.
    timeout : float
        Seconds after which the compiler is killed, for each graph.
    threads : int
        Threads to verify with; 0 stands for one per core.
    photographs : Path, optional
        Photograph, or folder of photographs, to choose layers in int8 on.

    Examples
    --------
    >>> CompileSettings(precision="fp16", threads=2).timeout
    1800.0

    """

    platform: str | None = None
    precision: GraphPrecision | None = None
    rewrites: tuple[str, ...] | None = None
    timeout: float = 1800.0
    threads: int = 0
    photographs: Path | None = None
