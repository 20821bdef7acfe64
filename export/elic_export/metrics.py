"""Numbers that compare two tensors, two pictures, or a stream with its ideal length."""

from dataclasses import dataclass

import numpy as np
from elic_runtime.tables import PRECISION, CdfTables
from elic_runtime.tiles import Image
from numpy.typing import NDArray

Floats = NDArray[np.float32]


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
        self.max_abs = float(np.maximum(self.max_abs, np.abs(e - f).max()))  # unlike max(), a NaN stays
        self.low, self.high = min(self.low, float(e.min())), max(self.high, float(e.max()))
        self.squares += float(((e - f) ** 2).sum())
        self.dot += float(e @ f)
        self.expected_squares += float(e @ e)
        self.found_squares += float(f @ f)
        self.values += e.size

    @property
    def relative(self) -> float:
        """Largest error over the range of the expected values, or over 1 if that is larger.

        A flat picture has no range, and rounds no better for it.
        """
        return self.max_abs / max(self.high - self.low, 1.0)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between expected and found."""
        norms = np.sqrt(self.expected_squares * self.found_squares)
        return float(self.dot / norms) if norms else float(self.squares == 0)

    @property
    def psnr_db(self) -> float:
        """Peak signal to noise, the range of the expected values being the peak; 999 if equal."""
        mse = self.squares / self.values
        return float(20 * np.log10(self.high - self.low) - 10 * np.log10(mse)) if mse else 999.0


def correlation(expected: Floats, found: Floats) -> float:
    """How bits of symbols correlate that have these likelihoods: 1 if they are the same, about 0 in another order."""
    with np.errstate(divide="ignore", invalid="ignore"):
        e, f = (-np.log2(likelihoods.astype(np.float64)).ravel() for likelihoods in (expected, found))
        if np.array_equal(e, f):
            return 1.0
        spread = e.std() * f.std()
        return float(((e - e.mean()) * (f - f.mean())).mean() / spread) if spread else 0.0


def max_steps(a: Image, b: Image) -> int:
    """Largest difference of two uint8 pictures, in steps of 1/255."""
    return int(np.abs(a.astype(np.int16) - b).max())


def code_length(symbols: NDArray[np.int32], indexes: NDArray[np.integer], tables: CdfTables) -> float:
    """Ideal bits of symbols [n] by their rows [n] of a table; escaped values count their nibbles too."""
    bins, _, folded = tables.bins(symbols, indexes)
    frequencies = tables.cdfs[indexes, bins + 1] - tables.cdfs[indexes, bins]
    nibbles = 1 + np.ceil(np.log2(folded + 1) / 4)  # one says how many follow
    return float((PRECISION - np.log2(frequencies)).sum() + 4 * nibbles.sum())
