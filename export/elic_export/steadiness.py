"""Whether the processor kept its speed: the rate of a matrix multiplication before and after what is timed."""

import time

import numpy as np

STEADY = 0.9
"""Smallest ratio of two rates that count as equal; on an idle machine repeated measurements differ by 3 %."""

_SIZE = 768
_REPEATS = 5


def peak_gflops() -> float:
    """Return the best rate of multiplying float32 matrices here, on all cores, in 10^9 operations per second."""
    matrix = np.ones((_SIZE, _SIZE), dtype=np.float32)
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return float(2 * _SIZE**3 / min(seconds) / 1e9)


def is_steady(before: float, after: float) -> bool:
    """Return whether two rates are equal within `STEADY`."""
    return min(before, after) >= STEADY * max(before, after)
