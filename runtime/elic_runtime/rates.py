"""Rate control: the step at which a file has a given size, or a picture a given quality.

Sizes and qualities fall as the step grows, nearly as straight lines over its logarithm, so a few trials are enough.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from elic_runtime.errors import ElicError
from elic_runtime.steps import MAX_STEP, MIN_STEP, STEP_UNIT

MAX_TRIALS = 8
"""How many steps are tried at most, each of which costs a walk of the context model."""

UNDER = 0.01
"""By how much a file may be smaller than its target."""

CLOSE_DB = 0.05
"""By how much a picture's PSNR may differ from its target."""

_AIM = 1 - UNDER / 3
"""Where the next trial for a size aims, as a share of the target: within the bounds, nearer to the upper one."""

_SIZE_SLOPE = -1.0
_DB_SLOPE = -4.5
"""How the logarithm of the size, and the PSNR in dB, change with the logarithm of the step, before two trials tell."""

Quantity = Literal["bytes", "bpp", "psnr"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class Target:
    """What a file is to be.

    Parameters
    ----------
    quantity : {"bytes", "bpp", "psnr"}
        Its size in bytes or in bits per pixel, which it does not exceed, or the PSNR of its picture in dB.
    value : float
        How much.

    Raises
    ------
    ElicError
        If it is not a positive number, or if there is no such quantity.

    Examples
    --------
    >>> len(codec.compress_to(image, Target("bytes", 4000))) <= 4000
    True

    """

    quantity: Quantity
    value: float

    def __post_init__(self) -> None:
        """Refuse what no file can be."""
        if self.quantity not in QUANTITIES:
            raise ElicError(f"{self.quantity}: a target is one of {', '.join(QUANTITIES)}")
        if not (math.isfinite(self.value) and self.value > 0):
            raise ElicError(f"{self.quantity}={self.value:g}: it must be a positive number")

    def goal(self, pixels: int) -> "Goal":
        """Return the target as a goal of an image with this many pixels."""
        if self.quantity == "psnr":
            return Goal(self.value - CLOSE_DB, self.value, self.value + CLOSE_DB, _DB_SLOPE, float)
        most = self.value if self.quantity == "bytes" else self.value * pixels / 8
        return Goal((1 - UNDER) * most, _AIM * most, most, _SIZE_SLOPE, math.log)

    def explain(self, pixels: int, step: float, value: float) -> str:
        """Say that no step gives an image the target, because `value` at `step` is the nearest.

        Parameters
        ----------
        pixels : int
            Pixels of the image.
        step : float
            The smallest or the largest step.
        value : float
            The bytes or the PSNR at this step.

        """
        finest = step < 1
        if self.quantity == "psnr":
            found = "is equal to it" if value == math.inf else f"has {value:.2f} dB"
            end = "best" if finest else "worst"
            return f"{self.value:g} dB: the {end} picture of this image {found}, at a step of {step:g}"
        asked = f"{self.value:.0f} bytes" if self.quantity == "bytes" else f"{self.value:g} bpp"
        size, end = f"{value:.0f} bytes ({8 * value / pixels:.4f} bpp)", "largest" if finest else "smallest"
        return f"{asked}: the {end} file of this image has {size}, at a step of {step:g}"


@dataclass(frozen=True)
class Goal:
    """Bounds of a quantity that falls as the step grows.

    Parameters
    ----------
    least, aim, most : float
        The bounds, and what to aim at.
    slope : float
        Roughly how the curve changes with the natural logarithm of the step.
    curve : callable
        Makes the quantity one that is nearly a straight line over the logarithm of the step.

    """

    least: float
    aim: float
    most: float
    slope: float
    curve: Callable[[float], float]

    def met(self, value: float) -> bool:
        """Return whether a value is within the bounds."""
        return self.least <= value <= self.most


def find_step(goal: Goal, measure: Callable[[float], float]) -> float:
    """Return the step at which a quantity meets a goal, or comes closest without exceeding it.

    Parameters
    ----------
    goal : Goal
        What is looked for.
    measure : callable
        Returns the quantity at a step. It is called at most `MAX_TRIALS` times.

    Raises
    ------
    UnreachableError
        If no step meets the goal.

    """
    found: dict[int, float] = {}
    units: int | None = STEP_UNIT
    while units is not None and len(found) < MAX_TRIALS:
        found[units] = measure(units / STEP_UNIT)
        if goal.met(found[units]):
            return units / STEP_UNIT
        units = _next(goal, found)
    if found.get(_FIRST, math.inf) < goal.least:
        raise UnreachableError(_FIRST / STEP_UNIT, found[_FIRST])
    under = [step for step, value in found.items() if value <= goal.most]
    if not under:
        last = max(found)
        raise UnreachableError(last / STEP_UNIT, found[last])
    return max(under, key=found.__getitem__) / STEP_UNIT


class UnreachableError(Exception):
    """Raised if no step meets a goal; it holds the step that comes closest, and the quantity there."""

    def __init__(self, step: float, value: float) -> None:
        super().__init__(step, value)
        self.step, self.value = step, value


_APART = 0.05
_WHOLE_RANGE = math.log(MAX_STEP / MIN_STEP)
_FIRST, _LAST = round(MIN_STEP * STEP_UNIT), round(MAX_STEP * STEP_UNIT)


def _next(goal: Goal, found: dict[int, float]) -> int | None:
    """Return the step to try next, in units, or None if there is none that could be better."""
    finer = sorted((step for step, value in found.items() if value > goal.most), reverse=True)
    coarser = sorted(step for step, value in found.items() if value < goal.least)
    if not finer:
        return None if coarser[0] == _FIRST else max(_FIRST, min(_on_line(goal, found, coarser), coarser[0] - 1))
    if not coarser:
        return None if finer[0] == _LAST else min(_LAST, max(_on_line(goal, found, finer), finer[0] + 1))
    low, high = finer[0], coarser[0]
    if high - low < 2:
        return None
    # Later, halving is the safer choice.
    between = _on_line(goal, found, [low, high]) if len(found) < MAX_TRIALS - 2 else round(math.sqrt(low * high))
    return min(max(between, low + 1), high - 1)


def _on_line(goal: Goal, found: dict[int, float], steps: Sequence[int]) -> int:
    """Return the step at which a line through trials meets the goal.

    The line goes through the first of `steps`, and the next one that is far enough away for noise not to matter.
    Without one, it has the usual slope.
    """
    first, *others = steps
    value, aim, slope = goal.curve(found[first]), goal.curve(goal.aim), goal.slope
    for other in others:
        if abs(distance := math.log(other / first)) > _APART:
            slope = (goal.curve(found[other]) - value) / distance
            break
    if not (math.isfinite(value) and math.isfinite(slope) and slope < 0):
        slope = goal.slope
    return round(first * math.exp(min((aim - value) / slope, _WHOLE_RANGE)))
