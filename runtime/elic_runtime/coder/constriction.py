"""The default coder: constriction's ANS, one call per row of the table.

A stream is a stack of 32-bit little-endian words. From its top: for each row in
ascending order, that row's symbols in the order of the array; then, for escaped
symbols in row order, how many nibbles each needs; then the nibbles, low ones first;
last one bit that is 1, so that a stream that runs dry is told from one that ends.
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
_NIBBLE_COUNTS = _model.Uniform(8)  # 1 to 8 nibbles, less one
_NIBBLES = _model.Uniform(16)
_END = _model.Uniform(2)
_END_MARK = 1


class ConstrictionCoder:
    """See `elic_runtime.coder.registry.Coder`."""

    name = "constriction"

    def __init__(self) -> None:
        self._models: WeakKeyDictionary[CdfTables, dict[int, Any]] = WeakKeyDictionary()

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Symbols int32 [n] and their rows [n] -> a multiple of 4 bytes. Raises CoderError."""
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
        return coder.get_compressed().astype("<u4").tobytes()

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """A stream and its rows [n] -> int32 [n]. Raises CoderError."""
        try:
            words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
            coder = constriction.stream.stack.AnsCoder(words)
        except ValueError:
            raise CoderError("the stream is no sequence of ANS words") from None
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
    """(row, start, stop) of each row that occurs, in the array sorted by row."""
    stops = np.cumsum(np.bincount(indexes))
    start = 0
    for row, stop in enumerate(stops.tolist()):
        if stop > start:
            yield row, start, stop
        start = stop


def _to_nibbles(folded: NDArray[np.int64]) -> tuple[Symbols, Symbols]:
    """Non-negative int64 [n] -> nibbles needed less one, int32 [n]; the nibbles, int32, low first."""
    digits = (folded[:, None] >> np.arange(0, 32, 4)) & 15  # [n, 8]
    counts = np.maximum(1, 8 - np.argmax(digits[:, ::-1] != 0, axis=1))
    counts[folded == 0] = 1
    used = np.arange(8) < counts[:, None]
    return (counts - 1).astype(np.int32), digits[used].astype(np.int32)


def _from_nibbles(counts: Symbols, nibbles: Symbols) -> NDArray[np.int64]:
    used = np.arange(8) <= counts[:, None]
    digits = np.zeros(used.shape, dtype=np.int64)
    digits[used] = nibbles
    return (digits << np.arange(0, 32, 4)).sum(axis=1)
