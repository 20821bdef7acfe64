"""Distortion and rate: two pictures -> PSNR, likelihoods -> bits. For `elic eval`, the exporter and parity."""

import math

import numpy as np
from numpy.typing import NDArray

from elic_runtime.tiles import Image


def psnr(expected: Image, found: Image) -> float:
    """PSNR in dB of two uint8 pictures of one shape; infinite if they are equal."""
    mse = float(((expected.astype(np.float64) - found) ** 2).mean())
    return 10 * math.log10(255**2 / mse) if mse else math.inf


def format_psnr(psnr_db: float, digits: int = 2) -> str:
    """PSNR for people, with so many digits after the point: `equal` where there is no error."""
    return "equal" if psnr_db == math.inf else f"{psnr_db:.{digits}f}"


def bits(likelihoods: NDArray[np.float32]) -> float:
    """Ideal code length of symbols of these likelihoods; infinite if one is 0."""
    with np.errstate(divide="ignore"):
        return -float(np.log2(likelihoods.astype(np.float64)).sum())
