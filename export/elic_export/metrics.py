"""Numbers that compare two tensors, two pictures, or a stream with its ideal length."""

import math
from dataclasses import dataclass

import numpy as np
from elic_runtime.tables import PRECISION, CdfTables
from elic_runtime.tiles import Image
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROUNDING_PSNR_DB = 10 * math.log10(255**2 * 12)
"""58.9 dB: PSNR of rounding to 8 bits itself, whose error is even over half a step up and down, 1/12 of its square."""


@dataclass
class TensorError:
    """Error of a tensor over any number of runs: sums, so that runs can be added."""

    max_abs: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    squares: float = 0.0
    dot: float = 0.0
    expected_squares: float = 0.0
    found_squares: float = 0.0
    values: int = 0

    def add(self, expected: Floats, found: Floats) -> None:
        """Take one more run into account."""
        e, f = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
        with np.errstate(invalid="ignore"):  # infinities give NaN, which is what there is to say
            self.max_abs = float(np.maximum(self.max_abs, np.abs(e - f).max()))  # unlike max(), a NaN stays
            self.squares += float(((e - f) ** 2).sum())
            self.dot += float(e @ f)
        self.low, self.high = min(self.low, float(e.min())), max(self.high, float(e.max()))
        self.expected_squares += float(e @ e)
        self.found_squares += float(f @ f)
        self.values += e.size

    @property
    def peak(self) -> float:
        """What errors are related to: the range of the expected values, or 1 if that is larger.

        A flat picture has no range, and rounds no better for it.
        """
        return max(self.high - self.low, 1.0)

    @property
    def relative(self) -> float:
        """Largest error over the peak."""
        return self.max_abs / self.peak

    @property
    def cosine(self) -> float:
        """Cosine of the angle between expected and found."""
        norms = math.sqrt(self.expected_squares * self.found_squares)
        return self.dot / norms if norms else float(self.squares == 0)

    @property
    def psnr_db(self) -> float:
        """Peak signal to noise in dB; infinite if expected and found are equal, -infinite if an error is infinite."""
        mse = self.squares / self.values
        if mse in (0, math.inf):
            return math.inf if mse == 0 else -math.inf
        return 20 * math.log10(self.peak) - 10 * math.log10(mse)


def correlation(expected: Floats, found: Floats) -> float:
    """How bits of symbols correlate that have these likelihoods: 1 if they are the same, about 0 in another order."""
    with np.errstate(divide="ignore", invalid="ignore"):
        e, f = (-np.log2(likelihoods.astype(np.float64)).ravel() for likelihoods in (expected, found))
        if np.array_equal(e, f):
            return 1.0
        spread = e.std() * f.std()
        return float(((e - e.mean()) * (f - f.mean())).mean() / spread) if spread else 0.0


def psnr_lost(expected_db: float, found_db: float) -> float:
    """How much worse a picture is than another one, both held against the same photograph, in dB.

    expected_db, found_db: their PSNRs; infinite for one that equals the photograph. More than rounding to 8 bits
    leaves counts as that: a few values that are one step off tell no better picture from a worse one,
    so two that are equal to the photograph differ by nothing, and one that is by no more than can be seen.
    Returns less than 0 for one that is better; NaN if either is.
    """
    return float(np.minimum(expected_db, ROUNDING_PSNR_DB) - np.minimum(found_db, ROUNDING_PSNR_DB))


def max_steps(a: Image, b: Image) -> int:
    """Largest difference of two uint8 pictures, in steps of 1/255."""
    return int(np.abs(a.astype(np.int16) - b).max())


def code_length(symbols: NDArray[np.int32], indexes: NDArray[np.integer], tables: CdfTables) -> float:
    """Ideal bits of symbols [n] by their rows [n] of a table; escaped values count their nibbles too."""
    bins, _, folded = tables.bins(symbols, indexes)
    frequencies = tables.cdfs[indexes, bins + 1] - tables.cdfs[indexes, bins]
    nibbles = 1 + np.ceil(np.log2(folded + 1) / 4)  # one says how many follow
    return float((PRECISION - np.log2(frequencies)).sum() + 4 * nibbles.sum())
