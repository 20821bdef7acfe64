"""MS-SSIM of two pictures, as papers of learned compression report it: the numbers of `pytorch_msssim`.

Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multi-scale structural similarity for image quality assessment", 2003.
"""

import math

import numpy as np
from numpy.typing import NDArray

from elic_runtime.evaluation.filtering import Plane, bands, filtered
from elic_runtime.pixels import Image

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from the picture itself to 1/16 of its size (table 1 of the paper)."""

_REACH = 5
"""Samples of the window on either side of its centre."""

_GAUSSIAN = [math.exp(-(i**2) / (2 * 1.5**2)) for i in range(_REACH + 1)]
_TAPS = [tap / (2 * sum(_GAUSSIAN) - 1) for tap in _GAUSSIAN]
"""The window from its centre outwards: 11 samples of a Gaussian of 1.5 pixels, whose sum is 1."""

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""What keeps quotients of dark and of smooth pictures steady."""

LEAST_SIDE = 2 * _REACH * 2 ** (len(_WEIGHTS) - 1) + 1
"""Smallest side of a picture in pixels, 161: the window fits into the last scale."""


def ms_ssim(expected: Image, found: Image) -> float | None:
    """Compute the MS-SSIM of two pictures.

    Parameters
    ----------
    expected, found : ndarray
        uint8 [H, W, 3], of the same shape.

    Returns
    -------
    float or None
        The mean over R, G and B, from 0 to 1; None if a side is shorter than `LEAST_SIDE`.

    """
    if min(expected.shape[:2]) < LEAST_SIDE:
        return None
    return float(np.mean([_of_plane(expected[..., i], found[..., i]) for i in range(3)]))


def _of_plane(expected: NDArray[np.uint8], found: NDArray[np.uint8]) -> float:
    first, second = expected.astype(np.float32), found.astype(np.float32)
    result = 1.0
    for weight in _WEIGHTS[:-1]:
        result *= max(_similarity(first, second)[1], 0.0) ** weight
        first, second = _halved(first), _halved(second)
    return float(result * max(_similarity(first, second)[0], 0.0) ** _WEIGHTS[-1])


def _similarity(first: Plane, second: Plane) -> tuple[float, float]:
    """Return the mean similarity of luminance and structure, and that of structure alone."""
    sums = np.sum([_sums(first[rows], second[rows]) for rows in bands(first, _REACH)], axis=0)
    height, width = first.shape
    whole, structure = sums / ((height - 2 * _REACH) * (width - 2 * _REACH))
    return float(whole), float(structure)


def _sums(first: Plane, second: Plane) -> tuple[float, float]:
    """Return the sums over the positions that have a whole window."""
    mean_1, mean_2 = filtered(first, _TAPS), filtered(second, _TAPS)
    product = mean_1 * mean_2
    squares = mean_1**2 + mean_2**2
    covariance = filtered(first * second, _TAPS) - product
    variances = filtered(first**2 + second**2, _TAPS) - squares
    structure = (2 * covariance + _C2) / (variances + _C2)
    whole = structure * ((2 * product + _C1) / (squares + _C1))
    return float(whole.sum(dtype=np.float64)), float(structure.sum(dtype=np.float64))


def _halved(plane: Plane) -> Plane:
    """Return the means of 2x2 samples; a zero precedes the first one of an odd side, as `pytorch_msssim` has it."""
    height, width = plane.shape
    plane = np.pad(plane, ((height % 2, 0), (width % 2, 0)))
    rows = plane[::2] + plane[1::2]
    halved: Plane = (rows[:, ::2] + rows[:, 1::2]) / np.float32(4)
    return halved
