"""The entropy model as integers: quantized CDFs of y by scale index, of z by channel."""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elic_runtime.errors import BundleError, CoderError

PRECISION = 16
"""Bits of a quantized CDF: every one ends at 2**16 (CompressAI's rANS)."""

NIBBLE_BITS = 4
MAX_NIBBLES = 7
"""How far out of its row's range a symbol may be: folded, below 2**28. CompressAI's encoder
does not return from more: it shifts a 32-bit value by 32."""

MAX_OFFSET = 1 << 20
MAX_BYTES = 64 << 20
"""Bounds that no model comes near: of a row's first value, and of a file of arrays."""


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
        Raises CoderError for a symbol that is more than `MAX_NIBBLES` out of range.
        """
        values = symbols.astype(np.int64) - self.offsets[rows]
        escapes = self.escapes[rows]
        escaped = (values < 0) | (values >= escapes)
        excess = values[escaped]
        folded = np.where(excess < 0, -2 * excess - 1, 2 * (excess - escapes[escaped]))
        if folded.size and folded.max() >= 1 << NIBBLE_BITS * MAX_NIBBLES:
            raise CoderError(f"a symbol is too far out of range to be coded: {int(folded.max())}")
        return np.where(escaped, escapes, values), escaped, folded

    @cached_property
    def rows(self) -> list[list[int]]:
        """Each row as a list, for coders in plain Python."""
        return [self.cdfs[i, :length].tolist() for i, length in enumerate(self.lengths)]

    def check(self, name: str) -> None:
        """Raises BundleError unless every row is a distribution."""
        for array, ndim in ((self.cdfs, 2), (self.lengths, 1), (self.offsets, 1)):
            if array.dtype != np.int32 or array.ndim != ndim:
                raise BundleError(f"entropy tables: an array of {name} is {array.dtype} with {array.ndim} axes")
        n, longest = self.cdfs.shape
        if not n or self.lengths.shape != (n,) or self.offsets.shape != (n,):
            raise BundleError(f"entropy tables: the shapes of {name} do not fit together")
        if (
            self.lengths.min() < 3
            or self.lengths.max() > longest
            or np.abs(self.offsets.astype(np.int64)).max() > MAX_OFFSET
        ):
            raise BundleError(f"entropy tables: a length or an offset of {name} is out of bounds")
        for i in range(n):
            row = self.cdfs[i, : self.lengths[i]]
            if row[0] != 0 or row[-1] != 1 << PRECISION or (np.diff(row) <= 0).any():
                raise BundleError(f"entropy tables: row {i} of {name} is no distribution")


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """Everything that turns symbols into bits.

    y: CDFs by scale index. z: CDFs by channel.
    scale_table: float32 [64], standard deviation of each row of y, ascending.
    scale_thresholds: float32 [63], ascending: a scale is coded by the row of the number that it exceeds.
    medians: float32 [N], the centre of each channel of z.
    """

    y: CdfTables
    z: CdfTables
    scale_table: NDArray[np.float32]
    scale_thresholds: NDArray[np.float32]
    medians: NDArray[np.float32]

    def scale_indexes(self, scales: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The row of y that codes each symbol: how many thresholds its scale exceeds. uint8, shaped like `scales`."""
        return np.searchsorted(self.scale_thresholds, scales).astype(np.uint8)

    def check(self) -> None:
        """Raises BundleError unless all of it can code."""
        self.y.check("y")
        self.z.check("z")
        levels = len(self.y.lengths)
        for name, array, shape in (
            ("scale_table", self.scale_table, (levels,)),
            ("scale_thresholds", self.scale_thresholds, (levels - 1,)),
            ("medians", self.medians, (len(self.z.lengths),)),
        ):
            if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
                raise BundleError(f"entropy tables: {name} is not float32 {list(shape)} of finite values")
        steps, between = (np.diff(a.astype(np.float64)) for a in (self.scale_table, self.scale_thresholds))
        if levels > 256 or (steps <= 0).any() or (between < 0).any():
            raise BundleError("entropy tables: scales or their thresholds do not ascend, or are more than 256")

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
            "scale_thresholds": self.scale_thresholds,
            "medians": self.medians,
        }


def check_size(path: Path) -> None:
    """Raises BundleError for an `.npz` that would unpack to more than a bundle's arrays take."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
            raise BundleError(f"{path}: larger than a bundle's arrays are")


def read_tables(path: Path) -> EntropyTables:
    """Read `entropy_tables.npz`. Raises BundleError if it is damaged, too large or inconsistent."""
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        y, z = (CdfTables(*(arrays[f"{name}_{part}"] for part in ("cdfs", "lengths", "offsets"))) for name in "yz")
        tables = EntropyTables(y, z, *(arrays[name] for name in ("scale_table", "scale_thresholds", "medians")))
    except BundleError:
        raise
    except Exception as error:  # a zip of arrays can be broken in any layer, each with exceptions of its own
        raise BundleError(f"{path}: no entropy tables: {' '.join(str(error).split())}") from None
    tables.check()
    return tables


def write_tables(path: Path, tables: EntropyTables) -> None:
    """Write `entropy_tables.npz`: equal tables give equal bytes."""
    np.savez(path, **tables.arrays())
