"""Fit the linear head that makes thumbnails of y_hat, on the photographs of the calibration.

The head belongs to the picture alone: it changes no stream, and is not part of the fingerprint.
"""

import numpy as np
from elic_runtime.pixels import Image
from elic_runtime.thumbnail_head import SCALES, Head, box_downsampled, to_outputs
from numpy.typing import NDArray

RIDGE = 1.0
"""Weight of the squared coefficients, in units of squared latents. 0 to 10 differ by less than 0.3 dB on Kodak."""


class ThumbnailFit:
    """Least squares from latents to downsampled photographs, one after the other."""

    def __init__(self) -> None:
        self._squares: NDArray[np.float64] | None = None
        self._products: NDArray[np.float64] | None = None

    def add(self, y_hat: NDArray[np.float64], photograph: Image) -> None:
        """Take a photograph, uint8 [H, W, 3], and its y_hat, float64 [M, H/16, W/16]."""
        inputs = np.concatenate([y_hat, np.ones_like(y_hat[:1])]).reshape(len(y_hat) + 1, -1)  # [M + 1, positions]
        outputs = [to_outputs(box_downsampled(photograph, scale), scale) for scale in SCALES]
        targets = np.concatenate(outputs).reshape(sum(map(len, outputs)), -1) / 255  # [15, positions]
        squares, products = inputs @ inputs.T, targets @ inputs.T
        self._squares = squares if self._squares is None else self._squares + squares
        self._products = products if self._products is None else self._products + products

    def solve(self) -> Head | None:
        """Return the head, or None if there was no photograph."""
        if self._squares is None or self._products is None:
            return None
        ridge = RIDGE * np.eye(len(self._squares))
        ridge[-1, -1] = 0  # the bias
        solved = np.linalg.solve(self._squares + ridge, self._products.T).T
        return Head(solved.astype(np.float32))
