"""Measures of how much two tensors or two pictures differ, and the ideal code length of a stream."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from elic_runtime.pixels import Image
from elic_runtime.tables import PRECISION, CdfTables
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROUNDING_PSNR_DB = 10 * math.log10(255**2 * 12)
"""PSNR of rounding to 8 bits, 58.9 dB: the error is uniform over one step, so its mean square is 1/12 of a step's."""


@dataclass
class TensorError:
    """Error of a tensor over any number of runs.

    Parameters
    ----------
    max_abs : float
        Largest absolute error.
    low, high : float
        Smallest and largest expected value.
    squares, dot, expected_squares, found_squares : float
        Sums over all values: of squared errors, of expected times found, and of the squares of either.
    values : int
        Number of values.

    """

    max_abs: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    squares: float = 0.0
    dot: float = 0.0
    expected_squares: float = 0.0
    found_squares: float = 0.0
    values: int = 0

    def add(self, expected: Floats, found: Floats) -> None:
        """Add one run.

        Parameters
        ----------
        expected, found : ndarray
            Arrays of one shape: the tensor as it should be, and as it is.

        """
        e, f = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
        with np.errstate(invalid="ignore"):  # infinities give NaN, which is kept as the error
            self.max_abs = float(np.maximum(self.max_abs, np.abs(e - f).max()))  # unlike max(), keeps a NaN
            self.squares += float(((e - f) ** 2).sum())
            self.dot += float(e @ f)
        self.low, self.high = min(self.low, float(e.min())), max(self.high, float(e.max()))
        self.expected_squares += float(e @ e)
        self.found_squares += float(f @ f)
        self.values += e.size

    @property
    def peak(self) -> float:
        """Range of the expected values, but at least 1: a flat picture has no range, yet rounds like any other."""
        return max(self.high - self.low, 1.0)

    @property
    def relative(self) -> float:
        """Largest absolute error, divided by the peak."""
        return self.max_abs / self.peak

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the expected and the found values."""
        norms = math.sqrt(self.expected_squares * self.found_squares)
        return self.dot / norms if norms else float(self.squares == 0)

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio in dB: infinite without any error, minus infinity if an error is infinite."""
        mse = self.squares / self.values
        if mse in (0, math.inf):
            return math.inf if mse == 0 else -math.inf
        return 20 * math.log10(self.peak) - 10 * math.log10(mse)


def correlation(expected: Floats, found: Floats) -> float:
    """Correlate the code lengths of symbols that have these likelihoods.

    Parameters
    ----------
    expected, found : ndarray
        Likelihoods of the same symbols, arrays of one shape.

    Returns
    -------
    float
        1 if they are the same, and about 0 if they are in another order.

    """
    with np.errstate(divide="ignore", invalid="ignore"):
        e, f = (-np.log2(likelihoods.astype(np.float64)).ravel() for likelihoods in (expected, found))
        if np.array_equal(e, f):
            return 1.0
        spread = e.std() * f.std()
        return float(((e - e.mean()) * (f - f.mean())).mean() / spread) if spread else 0.0


def psnr_lost(expected_db: float, found_db: float) -> float:
    """Return how many dB of PSNR a picture loses against another one of the same photograph.

    A PSNR above `ROUNDING_PSNR_DB` counts as that: there, a few values that are one step off say nothing about which
    picture is better.

    Parameters
    ----------
    expected_db, found_db : float
        PSNR of the reference and of the picture. It is infinite for a picture that equals the photograph.

    Returns
    -------
    float
        Negative for a picture that is better than the reference, and NaN if a PSNR is NaN.

    """
    return float(np.minimum(expected_db, ROUNDING_PSNR_DB) - np.minimum(found_db, ROUNDING_PSNR_DB))


def max_steps(a: Image, b: Image) -> int:
    """Return the largest difference between two pictures, in steps of 1/255.

    Parameters
    ----------
    a, b : ndarray
        Pictures of one size, uint8 [H, W, 3].

    """
    return int(np.abs(a.astype(np.int16) - b).max())


def code_length(symbols: NDArray[np.int32], indexes: NDArray[np.integer[Any]], tables: CdfTables) -> float:
    """Return the ideal code length of symbols, in bits.

    Parameters
    ----------
    symbols : ndarray
        The symbols, int32 [n].
    indexes : ndarray
        The row of the table that codes each symbol, integers [n].
    tables : CdfTables
        The quantized cumulative distributions. A value outside of its row is coded as an escape and nibbles.

    """
    bins, _, folded = tables.bins(symbols, indexes)
    frequencies = tables.cdfs[indexes, bins + 1] - tables.cdfs[indexes, bins]
    nibbles = 1 + np.ceil(np.log2(folded + 1) / 4)  # the first nibble says how many follow
    return float((PRECISION - np.log2(frequencies)).sum() + 4 * nibbles.sum())
