"""What images a codec takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What images a codec takes.

    Parameters
    ----------
    windowed : bool
        Whether they may be larger than the graphs.
    pixels : int
        How many pixels they may have.

    """

    windowed: bool
    pixels: int
