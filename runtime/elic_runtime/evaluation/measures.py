"""How much a decoded picture differs from its photograph: PSNR, and the two measures that follow what people see."""

import math
from dataclasses import dataclass

from elic_runtime.evaluation.ms_ssim import ms_ssim
from elic_runtime.evaluation.ssimulacra2 import ssimulacra2
from elic_runtime.metrics import psnr
from elic_runtime.pixels import Image


@dataclass(frozen=True)
class Measures:
    """How much two pictures differ.

    Parameters
    ----------
    psnr_db : float, optional
        PSNR over R, G and B, in dB; None if the pictures are equal.
    equal : bool
        Whether they are equal.
    ms_ssim : float, optional
        MS-SSIM, from 0 to 1; None if it was not asked for, or a side is shorter than 161 pixels.
    ssimulacra2 : float, optional
        SSIMULACRA2, up to 100; None if it was not asked for, or a side is shorter than 8 pixels.

    """

    psnr_db: float | None
    equal: bool
    ms_ssim: float | None = None
    ssimulacra2: float | None = None


def measure(expected: Image, found: Image, *, perceptual: bool) -> Measures:
    """Measure how much a picture differs from what it should be.

    Parameters
    ----------
    expected, found : ndarray
        uint8 [H, W, 3], of the same shape.
    perceptual : bool
        Whether to compute MS-SSIM and SSIMULACRA2 too, which take some 0.3 s for 512x512 pixels.

    """
    psnr_db = psnr(expected, found)
    equal = psnr_db == math.inf
    return Measures(
        psnr_db=None if equal else psnr_db,
        equal=equal,
        ms_ssim=ms_ssim(expected, found) if perceptual else None,
        ssimulacra2=ssimulacra2(expected, found) if perceptual else None,
    )
