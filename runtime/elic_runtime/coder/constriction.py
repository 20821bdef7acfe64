"""The default coder: constriction's ANS coder, called once per row of the CDF table.

A stream is a stack of 32-bit little-endian words. It contains, from the top: the symbols of each row in ascending order
of rows, in the order of the array; the number of nibbles of each escaped symbol, in the same order; the nibbles, from
the lowest on; and a bit that is 1, which distinguishes the end of a stream from a stream that is too short.
constriction promises the same bits in all its 0.5 releases.
"""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import constriction
import numpy as np
from numpy.typing import NDArray

from elic_runtime.coder.protocol import Indexes, Symbols
from elic_runtime.errors import CoderError
from elic_runtime.tables import MAX_NIBBLES, PRECISION, CdfTables

_model = constriction.stream.model
_NIBBLE_COUNTS = _model.Uniform(8)  # the number of nibbles, 1 to 8, minus one
_NIBBLES = _model.Uniform(16)
_END = _model.Uniform(2)
_END_MARK = 1


class ConstrictionCoder:
    """Implements `elic_runtime.coder.protocol.Coder`."""

    name = "constriction"

    def __init__(self) -> None:
        self._models: WeakKeyDictionary[CdfTables, dict[int, Any]] = WeakKeyDictionary()

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Encode symbols into a multiple of 4 bytes: see `Coder.encode`."""
        order = np.argsort(indexes, kind="stable")
        bins, _, folded = tables.bins(symbols[order], indexes[order])
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(_END_MARK, _END)
        if folded.size:
            counts, nibbles = _to_nibbles(folded)
            coder.encode_reverse(nibbles, _NIBBLES)
            coder.encode_reverse(counts, _NIBBLE_COUNTS)
        for row, start, stop in reversed(list(_runs(indexes))):
            coder.encode_reverse(bins[start:stop].astype(np.int32), self._row_model(tables, row))
        words: NDArray[np.uint32] = coder.get_compressed()
        return words.astype("<u4").tobytes()

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """Decode a stream: see `Coder.decode`."""
        try:
            words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
            coder = constriction.stream.stack.AnsCoder(words)
        except ValueError:
            raise CoderError("the stream is not a sequence of ANS words") from None
        bins = np.empty(len(indexes), dtype=np.int64)
        for row, start, stop in _runs(indexes):
            bins[start:stop] = coder.decode(self._row_model(tables, row), stop - start)
        order = np.argsort(indexes, kind="stable")
        rows = indexes[order]
        escapes = tables.escapes[rows]
        escaped = bins == escapes
        if escaped.any():
            counts = coder.decode(_NIBBLE_COUNTS, int(escaped.sum()))
            if counts.max() >= MAX_NIBBLES:
                raise CoderError("the stream holds a value out of range")
            folded = _from_nibbles(counts, coder.decode(_NIBBLES, int(counts.sum()) + len(counts)))
            bins[escaped] = np.where(folded % 2, -(folded + 1) // 2, folded // 2 + escapes[escaped])
        if coder.decode(_END) != _END_MARK or not coder.is_empty():
            raise CoderError("the stream does not end where its symbols do")
        symbols = np.empty(len(indexes), dtype=np.int32)
        symbols[order] = bins + tables.offsets[rows]
        return symbols

    def _row_model(self, tables: CdfTables, row: int) -> Any:
        models = self._models.setdefault(tables, {})
        if row not in models:
            probabilities = tables.frequencies(row) / np.float64(1 << PRECISION)
            models[row] = _model.Categorical(probabilities, perfect=False)
        return models[row]


def _runs(indexes: Indexes) -> Iterator[tuple[int, int, int]]:
    """Yield (row, start, stop) for each row that occurs: where its symbols are in the array sorted by row."""
    stops = np.cumsum(np.bincount(indexes))
    start = 0
    for row, stop in enumerate(stops.tolist()):
        if stop > start:
            yield row, start, stop
        start = stop


def _to_nibbles(folded: NDArray[np.int64]) -> tuple[Symbols, Symbols]:
    """Split non-negative numbers [n] into nibbles.

    Returns the count of nibbles of each minus one, int32 [n], and the nibbles, int32, from each number's lowest one on.
    """
    digits = (folded[:, None] >> np.arange(0, 32, 4)) & 15  # [n, 8]
    counts = np.maximum(1, 8 - np.argmax(digits[:, ::-1] != 0, axis=1))
    counts[folded == 0] = 1
    used = np.arange(8) < counts[:, None]
    return (counts - 1).astype(np.int32), digits[used].astype(np.int32)


def _from_nibbles(counts: Symbols, nibbles: Symbols) -> NDArray[np.int64]:
    """Join the nibbles that `_to_nibbles` returned: the numbers, int64 [n]."""
    used = np.arange(8) <= counts[:, None]
    digits = np.zeros(used.shape, dtype=np.int64)
    digits[used] = nibbles
    folded: NDArray[np.int64] = (digits << np.arange(0, 32, 4)).sum(axis=1)
    return folded
