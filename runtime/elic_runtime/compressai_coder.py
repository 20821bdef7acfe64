"""CompressAI's rANS, bit for bit: for files that are exchanged with PyTorch.

Encoding is CompressAI's own (`compressai.ans`, which needs compressai and torch).
Its decoder reads past the end of a short stream and can crash the process, so
decoding is done here: the same arithmetic with every read checked, in plain Python.
It takes several times as long, and needs no CompressAI.

Source of the arithmetic: CompressAI's rans_interface.cpp and Fabian Giesen's
ryg_rans (rans64.h): a 64-bit state, 32-bit words, 16-bit frequencies, and values out
of range in nibbles.
"""

from bisect import bisect_right

import numpy as np

from elic_runtime.coders import Indexes, Symbols
from elic_runtime.errors import CoderError
from elic_runtime.tables import PRECISION, CdfTables

_STATE_MIN = 1 << 31
_MASK = (1 << PRECISION) - 1
_NIBBLE_BITS, _NIBBLE_MAX = 4, 15
_MAX_NIBBLES = 8
"""A 32-bit value has no more; a longer one is damage."""


class CompressaiCoder:
    """See `elic_runtime.coders.Coder`."""

    name = "compressai"

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """symbols int32 [n], indexes uint8 [n] -> the bytes that CompressAI writes. Raises CoderError."""
        try:
            from compressai import ans
        except ImportError:
            raise CoderError("writing with the compressai coder needs compressai: pip install compressai") from None
        data = ans.RansEncoder().encode_with_indexes(
            symbols.tolist(), indexes.tolist(), tables.cdfs.tolist(), tables.lengths.tolist(), tables.offsets.tolist()
        )
        return bytes(data)

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """A stream and its indexes uint8 [n] -> int32 [n]. Raises CoderError."""
        if len(data) % 4 or len(data) < 8:
            raise CoderError("the stream is no sequence of rANS words")
        reader = _Reader(np.frombuffer(data, dtype="<u4").tolist())
        rows = [tables.cdfs[i, : tables.lengths[i]].tolist() for i in range(len(tables.lengths))]
        values = [reader.value(rows[i]) for i in indexes.tolist()]
        reader.finish()
        symbols = np.array(values, dtype=np.int64) + tables.offsets[indexes]
        if symbols.size and np.abs(symbols).max() > np.iinfo(np.int32).max:
            raise CoderError("the stream holds a value out of range")
        return symbols.astype(np.int32)


class _Reader:
    """rANS state over a list of words; reading past the last is an error."""

    def __init__(self, words: list[int]) -> None:
        self._words = words
        self._next = 2
        self._state = words[0] | words[1] << 32

    def value(self, cdf: list[int]) -> int:
        """One value by its CDF, the last bin of which is the escape."""
        state = self._state
        low = state & _MASK
        found = bisect_right(cdf, low) - 1
        start = cdf[found]
        self._set((cdf[found + 1] - start) * (state >> PRECISION) + low - start)
        return self._escaped(found) if found == len(cdf) - 2 else found

    def finish(self) -> None:
        """Raises CoderError unless everything was read, back to the encoder's first state."""
        if self._next != len(self._words) or self._state != _STATE_MIN:
            raise CoderError("the stream does not end where its symbols do")

    def _escaped(self, escape: int) -> int:
        count = nibble = self._nibble()
        while nibble == _NIBBLE_MAX:
            nibble = self._nibble()
            count += nibble
        if count > _MAX_NIBBLES:
            raise CoderError("the stream holds a value out of range")
        folded = sum(self._nibble() << _NIBBLE_BITS * j for j in range(count))
        return -(folded >> 1) - 1 if folded & 1 else (folded >> 1) + escape

    def _nibble(self) -> int:
        nibble = self._state & _NIBBLE_MAX
        self._set(self._state >> _NIBBLE_BITS)
        return nibble

    def _set(self, state: int) -> None:
        if state < _STATE_MIN:
            if self._next == len(self._words):
                raise CoderError("the stream ends before its symbols do")
            state = state << 32 | self._words[self._next]
            self._next += 1
        self._state = state
