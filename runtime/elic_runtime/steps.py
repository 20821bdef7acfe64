"""The step of a file, which sets its rate: `y_hat = step * symbol + mean`.

A step is a multiple of 1/128, as means are in exact arithmetic: then y_hat is one too, and every machine gets the same.
The checkpoint was trained for a step of 1; larger steps give smaller files.
"""

import math

from elic_runtime.errors import ElicError

STEP_UNIT = 128
"""Units of a step of 1. A file holds its step in these units."""

MIN_STEP = 0.5
MAX_STEP = 4.0


def valid_units(units: int) -> bool:
    """Return whether a file may have this step, in units."""
    return MIN_STEP * STEP_UNIT <= units <= MAX_STEP * STEP_UNIT


def nearest_step(step: float) -> float:
    """Return the nearest step that a file can hold.

    Parameters
    ----------
    step : float
        From `MIN_STEP` to `MAX_STEP`.

    Raises
    ------
    ElicError
        If it is outside of this range.

    """
    if not (math.isfinite(step) and MIN_STEP <= step <= MAX_STEP):
        raise ElicError(f"step={step}: it must be from {MIN_STEP:g} to {MAX_STEP:g}")
    return round(step * STEP_UNIT) / STEP_UNIT
