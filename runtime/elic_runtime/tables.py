"""The entropy model as integers: quantized CDFs of y by scale index, of z by channel."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elic_runtime.errors import BundleError

PRECISION = 16
"""Bits of a quantized CDF: every one ends at 2**16 (CompressAI's rANS)."""


@dataclass(frozen=True, eq=False)
class CdfTables:
    """A set of quantized distributions over integers, in CompressAI's layout.

    cdfs: int32 [n, longest], row i valid up to lengths[i]; from 0 to 2**16. The last
        bin of a row is the escape: values outside the row's range.
    lengths: int32 [n], entries of each row.
    offsets: int32 [n], the value of each row's first bin.
    """

    cdfs: NDArray[np.int32]
    lengths: NDArray[np.int32]
    offsets: NDArray[np.int32]

    @property
    def escapes(self) -> NDArray[np.int32]:
        """The bin of each row that stands for values out of range: int32 [n]."""
        return self.lengths - 2

    def frequencies(self, i: int) -> NDArray[np.int32]:
        """Row i as counts out of 2**16: int32 [lengths[i] - 1]."""
        return np.diff(self.cdfs[i, : self.lengths[i]])

    def bins(
        self, symbols: NDArray[np.int32], rows: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        """Which bin of its row each symbol falls in.

        symbols: int32 [n]. rows: [n].
        Returns bins [n], escapes included; which are escaped, bool [n]; and for those,
        how far out of range they are, folded to be non-negative as CompressAI does:
        2 x for x at or above the range's end, -2 x - 1 for x below its start.
        """
        values = symbols.astype(np.int64) - self.offsets[rows]
        escapes = self.escapes[rows]
        escaped = (values < 0) | (values >= escapes)
        excess = values[escaped]
        folded = np.where(excess < 0, -2 * excess - 1, 2 * (excess - escapes[escaped]))
        return np.where(escaped, escapes, values), escaped, folded

    def check(self, name: str) -> None:
        """Raises BundleError unless every row is a distribution."""
        n, longest = self.cdfs.shape if self.cdfs.ndim == 2 else (0, 0)
        whole = n > 0 and self.lengths.shape == (n,) and self.offsets.shape == (n,)
        if not whole or self.lengths.min() < 3 or self.lengths.max() > longest:
            raise BundleError(f"entropy tables: the shapes of {name} do not fit together")
        for i in range(n):
            row = self.cdfs[i, : self.lengths[i]]
            if row[0] != 0 or row[-1] != 1 << PRECISION or (np.diff(row) <= 0).any():
                raise BundleError(f"entropy tables: row {i} of {name} is no distribution")


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """Everything that turns symbols into bits.

    y: CDFs by scale index. z: CDFs by channel.
    scale_table: float32 [64], standard deviation of each row of y, ascending.
    scale_bound: smallest standard deviation; scales are raised to it.
    medians: float32 [N], the centre of each channel of z.
    """

    y: CdfTables
    z: CdfTables
    scale_table: NDArray[np.float32]
    scale_bound: np.float32
    medians: NDArray[np.float32]

    def scale_indexes(self, scales: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The row of y that codes each symbol: uint8, shaped like `scales`.

        The same as CompressAI's `GaussianConditional.build_indexes`: the first level
        that is not below the scale.
        """
        bounded = np.maximum(scales, self.scale_bound)
        return np.searchsorted(self.scale_table[:-1], bounded).astype(np.uint8)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The content of `entropy_tables.npz`, by name."""
        return {
            "y_cdfs": self.y.cdfs,
            "y_lengths": self.y.lengths,
            "y_offsets": self.y.offsets,
            "z_cdfs": self.z.cdfs,
            "z_lengths": self.z.lengths,
            "z_offsets": self.z.offsets,
            "scale_table": self.scale_table,
            "scale_bound": np.asarray(self.scale_bound),
            "medians": self.medians,
        }


def read_tables(path: Path) -> EntropyTables:
    """Read `entropy_tables.npz`. Raises BundleError if it is damaged or inconsistent."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        y, z = (CdfTables(*(arrays[f"{name}_{part}"] for part in ("cdfs", "lengths", "offsets"))) for name in "yz")
        tables = EntropyTables(y, z, arrays["scale_table"], np.float32(arrays["scale_bound"]), arrays["medians"])
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: no entropy tables: {error}") from None
    y.check("y")
    z.check("z")
    if len(tables.scale_table) > 256 or (np.diff(tables.scale_table) <= 0).any():
        raise BundleError(f"{path}: the scale table does not ascend")
    return tables


def write_tables(path: Path, tables: EntropyTables) -> None:
    """Write `entropy_tables.npz`: equal tables give equal bytes."""
    np.savez(path, **tables.arrays())
