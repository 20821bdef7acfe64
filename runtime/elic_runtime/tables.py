"""The entropy model as integers: the quantized CDFs of y by scale index, and of z by channel."""

import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elic_runtime.errors import BundleError, CoderError

PRECISION = 16
"""Bits of a quantized CDF: each one ends at 2**16, as in CompressAI's rANS."""

NIBBLE_BITS = 4
MAX_NIBBLES = 7
"""How many nibbles of 4 bits a folded value out of range may have, which bounds it by 2**28.

CompressAI's encoder never returns for larger values, because it shifts a 32-bit value by 32.
"""

_CELLS_PER_UNIT = 256
_MAX_CELLS = 1 << 19
"""The cells of scales by which scale indexes are looked up, the first one at 0: how many there may be."""

_AT_ONCE = 1 << 20
"""Scales that are looked up at once, which bounds the memory of what is computed in between."""

MAX_OFFSET = 1 << 20
MAX_BYTES = 64 << 20
"""Limits of a row's first value, and of a file of arrays in bytes; those of trained models are far smaller."""


@dataclass(frozen=True, eq=False)
class CdfTables:
    """A set of quantized distributions over integers, in CompressAI's layout.

    Parameters
    ----------
    cdfs : ndarray
        int32 [n, longest]: one CDF per row, from 0 to 2**16. The first `lengths[i]` entries of row i are valid. The
        last bin of a row is the escape, which stands for all values out of the row's range.
    lengths : ndarray
        int32 [n]: the number of entries of each row.
    offsets : ndarray
        int32 [n]: the value of each row's first bin.

    """

    cdfs: NDArray[np.int32]
    lengths: NDArray[np.int32]
    offsets: NDArray[np.int32]

    @property
    def escapes(self) -> NDArray[np.int32]:
        """The escape bin of each row: int32 [n]."""
        return self.lengths - 2

    def bins(
        self, symbols: NDArray[np.int32], rows: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        """Find the bin of each symbol in its row.

        Parameters
        ----------
        symbols : ndarray
            int32 [n].
        rows : ndarray
            Integers [n]: the row of each symbol.

        Returns
        -------
        bins : ndarray
            int64 [n]: the bin of each symbol, which is the escape bin for symbols out of range.
        escaped : ndarray
            bool [n]: whether each symbol is out of range.
        folded : ndarray
            int64, one for each escaped symbol: its signed distance x from the range, folded to a non-negative number
            as CompressAI does. At or above the end of the range, x becomes 2 x; below its start, it becomes -2 x - 1.

        Raises
        ------
        CoderError
            If a folded value needs more than `MAX_NIBBLES` nibbles.

        """
        values = symbols.astype(np.int64) - self.offsets[rows]
        escapes = self.escapes[rows]
        escaped = (values < 0) | (values >= escapes)
        excess = values[escaped]
        folded = np.where(excess < 0, -2 * excess - 1, 2 * (excess - escapes[escaped]))
        if folded.size and folded.max() >= 1 << NIBBLE_BITS * MAX_NIBBLES:
            raise CoderError("a symbol is too far out of range to be coded")
        return np.where(escaped, escapes, values), escaped, folded

    @cached_property
    def rows(self) -> list[list[int]]:
        """The rows as lists, for coders in plain Python."""
        return [self.cdfs[i, :length].tolist() for i, length in enumerate(self.lengths)]

    def check(self, name: str) -> None:
        """Raise BundleError unless every row is a distribution; `name` is the name of the tables in messages."""
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
                raise BundleError(f"entropy tables: row {i} of {name} is not a distribution")


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """The entropy model of a bundle.

    Parameters
    ----------
    y : CdfTables
        The distributions of y, by scale index.
    z : CdfTables
        The distributions of z, by channel.
    scale_table : ndarray
        float32 [64], ascending: the standard deviation of each row of y.
    scale_thresholds : ndarray
        float32 [63], ascending: the number of thresholds that a scale exceeds is its scale index.
    medians : ndarray
        float32 [N]: the median of each channel of z.

    """

    y: CdfTables
    z: CdfTables
    scale_table: NDArray[np.float32]
    scale_thresholds: NDArray[np.float32]
    medians: NDArray[np.float32]

    def scale_indexes(self, scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Return the row of y that codes each symbol: uint16, with the shape of `scales`."""
        levels = self._levels_by_cell
        if levels is None:
            return np.searchsorted(self.scale_thresholds, scales).astype(np.uint16)
        given = np.ascontiguousarray(scales).reshape(-1)
        found = np.empty(given.shape, np.uint16)
        for start in range(0, len(given), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            cells = np.clip(given[part], np.float32(0), np.float32((len(levels) - 1) / _CELLS_PER_UNIT))
            cells *= np.float32(_CELLS_PER_UNIT)
            indexes = levels.take(cells.astype(np.int32))
            np.add(indexes, given[part] > self._next_thresholds.take(indexes), out=found[part])
        return found.reshape(scales.shape)

    def at_step(self, step: float) -> "EntropyTables":
        """Return the tables of symbols that are `step` apart: a scale must be as many times as large for a row of y.

        Parameters
        ----------
        step : float
            By how much y_hat grows with a symbol; a multiple of 1/128.

        """
        if step == 1:
            return self
        # Products of a float32 and a step are exact in float64, so every machine rounds them to the same thresholds.
        thresholds = (self.scale_thresholds.astype(np.float64) * step).astype(np.float32)
        return replace(self, scale_thresholds=thresholds)

    @cached_property
    def _levels_by_cell(self) -> NDArray[np.uint16] | None:
        """The number of thresholds below the start of each cell, or None if a cell holds more than one threshold.

        A table of cells takes an eighth of the time of a binary search per scale. The cells are the steps of scales in
        exact arithmetic; scales of float arithmetic lie between them, hence the comparison with the next threshold.
        """
        largest = float(self.scale_thresholds.max(initial=0))
        if largest > _MAX_CELLS // _CELLS_PER_UNIT - 1:
            return None
        cells = int(np.ceil(largest * _CELLS_PER_UNIT)) + 1
        starts = np.arange(cells, dtype=np.float32) / np.float32(_CELLS_PER_UNIT)
        levels = np.searchsorted(self.scale_thresholds, starts)
        within = np.diff(levels, append=len(self.scale_thresholds))
        if levels[0] > 0 or within.max() > 1:
            return None
        return levels.astype(np.uint16)

    @cached_property
    def _next_thresholds(self) -> NDArray[np.float32]:
        """The threshold above each level; infinity above the last one."""
        return np.append(self.scale_thresholds, np.float32(np.inf))

    def check(self) -> None:
        """Raise BundleError unless all tables are valid and fit together."""
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
        """Return the arrays of `entropy_tables.npz` by name."""
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
    """Raise BundleError if the arrays of an `.npz` file take more than `MAX_BYTES`."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
            raise BundleError(f"{path}: larger than the arrays of any bundle")


def read_tables(path: Path) -> EntropyTables:
    """Read `entropy_tables.npz`.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    BundleError
        If the file is damaged or too large, or its tables are invalid.

    """
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        y, z = (CdfTables(*(arrays[f"{name}_{part}"] for part in ("cdfs", "lengths", "offsets"))) for name in "yz")
        tables = EntropyTables(y, z, *(arrays[name] for name in ("scale_table", "scale_thresholds", "medians")))
    except BundleError:
        raise
    except Exception as error:  # each layer of a damaged zip archive of arrays raises exceptions of its own
        raise BundleError(f"{path}: not entropy tables: {' '.join(str(error).split())}") from None
    tables.check()
    return tables


def write_tables(path: Path, tables: EntropyTables) -> None:
    """Write `entropy_tables.npz`. Equal tables give equal bytes."""
    np.savez(path, **tables.arrays())
