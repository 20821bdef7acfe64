"""Distortion and rate: two images -> PSNR, likelihoods -> bits. Used by `elic eval` and the exporter."""

import math

import numpy as np
from numpy.typing import NDArray

from elic_runtime.pixels import Image

_ROWS = 256


def psnr(expected: Image, found: Image) -> float:
    """Compute the PSNR of two images.

    Parameters
    ----------
    expected, found : ndarray
        uint8, of the same shape.

    Returns
    -------
    float
        The PSNR in dB; infinite if the images are equal.

    """
    squares = 0
    for first in range(0, len(expected), _ROWS):  # a whole photograph would take eight times its memory
        rows = slice(first, first + _ROWS)
        differences = expected[rows].astype(np.int32) - found[rows]
        squares += int(np.square(differences, out=differences).sum(dtype=np.int64))
    return 10 * math.log10(255**2 * expected.size / squares) if squares else math.inf


def format_psnr(psnr_db: float, digits: int = 2) -> str:
    """Format a PSNR with `digits` digits after the point, or as `equal` if it is infinite."""
    return "equal" if psnr_db == math.inf else f"{psnr_db:.{digits}f}"


def bits(likelihoods: NDArray[np.float32]) -> float:
    """Compute the ideal code length of symbols.

    Parameters
    ----------
    likelihoods : ndarray
        float32, of any shape: the likelihood of each symbol.

    Returns
    -------
    float
        The length in bits; infinite if a likelihood is 0.

    """
    with np.errstate(divide="ignore"):
        return -float(np.log2(likelihoods.astype(np.float64)).sum())
