"""SSIMULACRA2 of two pictures, version 2.1: the numbers of its reference implementation, that of libjxl's tools.

Both pictures become planes of XYB, at six scales from the picture itself to 1/32 of its size. Each scale and plane
gives three maps of errors: of structure (SSIM), of edges that the second picture added, and of edges that it lost.
Their mean and their 4-norm, 108 numbers, are weighted by how much they matter to people who judged pictures.

The package `ssimulacra2` of PyPI (0.3.0) smooths with another window than the reference, and mirrors pictures at two
of their borders: compared with the reference on 36 pairs of pictures it was 0.3 to 7 points lower from 70 points down.
"""

import numpy as np
from numpy.typing import NDArray

from elic_runtime.evaluation.filtering import Plane, bands, filtered
from elic_runtime.evaluation.ssimulacra2_weights import SCALES, WEIGHTS
from elic_runtime.pixels import Image

LEAST_SIDE = 8
"""Smallest side of a picture in pixels, and of a scale that is followed by another."""

_TAPS = (0.2646211053, 0.2129285923, 0.1093353730, 0.0360111147, 0.0094143678)
"""The window from its centre outwards: 9 samples.

What the reference's recursive filter (Charalampidis, 2016) computes for a Gaussian of 1.5 pixels. Beyond the borders
the picture is 0.
"""

_REACH = len(_TAPS) - 1
"""Samples of the window on either side of its centre."""

_C2 = 0.0009
"""What keeps the quotient steady where pictures are smooth."""

_SAMPLES = np.arange(256) / 255
_LINEAR = np.where(_SAMPLES <= 0.04045, _SAMPLES / 12.92, ((_SAMPLES + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light of the 256 samples of sRGB."""

_ABSORBANCE = np.array(
    (
        (0.30, 0.622, 0.078),
        (0.23, 0.692, 0.078),
        (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
    ),
    np.float32,
)
_BIAS = np.float32(0.0037930732552754493)
"""How much the eye's three kinds of cones take of linear red, green and blue, and of darkness (JPEG XL's XYB)."""


def ssimulacra2(expected: Image, found: Image) -> float | None:
    """Compute the SSIMULACRA2 of two pictures.

    Parameters
    ----------
    expected, found : ndarray
        uint8 [H, W, 3], sRGB, of the same shape.

    Returns
    -------
    float or None
        100 if the pictures are equal, about 90 if nobody sees a difference, 70 for high, 50 for medium and 30 for low
        quality; negative if hardly anything is left. None if a side is shorter than `LEAST_SIDE`.

    """
    if min(expected.shape[:2]) < LEAST_SIDE:
        return None
    first, second = _linear(expected), _linear(found)
    norms = [_norms(first, second)]
    while len(norms) < SCALES and min(first.shape[1:]) >= LEAST_SIDE:
        first, second = _halved(first), _halved(second)
        norms.append(_norms(first, second))
    return _score(np.stack(norms, axis=1))


def _linear(image: Image) -> NDArray[np.float32]:
    """Return linear light: float32 [3, H, W]."""
    return _LINEAR[np.ascontiguousarray(image.transpose(2, 0, 1))]


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of 2x2 samples; the last ones of odd sides count twice."""
    _, height, width = planes.shape
    planes = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    rows = planes[:, ::2] + planes[:, 1::2]
    halved: NDArray[np.float32] = (rows[:, :, ::2] + rows[:, :, 1::2]) / np.float32(4)
    return halved


def _xyb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return X, Y and B - Y, float32 [3, H, W], shifted and stretched to a range of about 0 to 1."""
    cones = np.tensordot(_ABSORBANCE, linear, 1)
    cones += _BIAS
    np.cbrt(cones, out=cones)
    cones -= np.cbrt(_BIAS)
    long, medium, short = cones
    y = (long + medium) / 2
    return np.stack(((long - medium) * 7 + np.float32(0.42), y + np.float32(0.01), short - y + np.float32(0.55)))


def _norms(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the norms of a scale: of each plane, the means and then the 4-norms of its three maps, [3, 2, 3]."""
    return np.stack([_norms_of_plane(*planes) for planes in zip(_xyb(first), _xyb(second), strict=True)])


def _norms_of_plane(first: Plane, second: Plane) -> NDArray[np.float64]:
    pixels = first.size
    first, second = np.pad(first, _REACH), np.pad(second, _REACH)
    sums = [[_sums(each) for each in _maps(first[rows], second[rows])] for rows in bands(first, _REACH)]
    means: NDArray[np.float64] = np.sum(sums, axis=0).T / pixels
    means[1] **= 0.25
    return means


def _sums(values: Plane) -> tuple[float, float]:
    """Return the sum of values, and that of their fourth powers."""
    fourth = np.square(np.square(values))
    return float(values.sum(dtype=np.float64)), float(fourth.sum(dtype=np.float64))


def _maps(first: Plane, second: Plane) -> tuple[Plane, Plane, Plane]:
    """Return the errors of structure, of added edges and of lost edges, where there is a whole window."""
    mean_1, mean_2 = filtered(first, _TAPS), filtered(second, _TAPS)
    covariance = filtered(first * second, _TAPS) - mean_1 * mean_2
    variances = (filtered(first**2, _TAPS) - mean_1**2) + (filtered(second**2, _TAPS) - mean_2**2)
    structure = 1 - (1 - (mean_1 - mean_2) ** 2) * (2 * covariance + _C2) / (variances + _C2)
    inner = slice(_REACH, -_REACH)
    edges = (1 + np.abs(second[inner, inner] - mean_2)) / (1 + np.abs(first[inner, inner] - mean_1)) - 1
    return np.maximum(structure, 0), np.maximum(edges, 0), np.maximum(-edges, 0)


def _score(norms: NDArray[np.float64]) -> float:
    """Return the score of norms, [3, scales, 2, 3]."""
    # Of a picture that is too small for all scales, the reference takes the first weights, and so does this.
    found = norms.ravel()
    error = 0.9562382616834844 * float(found @ WEIGHTS[: found.size])
    error = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return float(100 - 10 * max(error, 0.0) ** 0.6276336467831387)
