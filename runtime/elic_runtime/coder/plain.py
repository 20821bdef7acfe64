"""CompressAI's rANS coder in plain Python, for machines without a C compiler or a wheel that holds rans.c compiled.

It writes and reads the same bytes as rans.c, about 50 times as slowly: a photograph of 768x512 pixels takes some tenths
of a second. docs/format.md describes the stream bit by bit.
"""

from bisect import bisect_right

import numpy as np

from elic_runtime.coder.protocol import Indexes, Symbols
from elic_runtime.errors import CoderError
from elic_runtime.tables import MAX_NIBBLES, NIBBLE_BITS, PRECISION, CdfTables

_STATE_MIN = 1 << 31
_MASK = (1 << PRECISION) - 1
_WORD_BITS = 32
_WORD_MASK = (1 << _WORD_BITS) - 1
_NIBBLE_MAX = (1 << NIBBLE_BITS) - 1


class PlainCoder:
    """Implements `elic_runtime.coder.protocol.Coder`."""

    name = "Python"

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Encode symbols: see `Coder.encode`."""
        bins, escaped, folded = tables.bins(symbols, indexes)
        starts = tables.cdfs[indexes, bins]
        frequencies = tables.cdfs[indexes, bins + 1] - starts
        excess = np.full(len(bins), -1, dtype=np.int64)
        excess[escaped] = folded
        writer = _Writer()
        for start, frequency, beyond in zip(
            reversed(starts.tolist()), reversed(frequencies.tolist()), reversed(excess.tolist()), strict=True
        ):
            if beyond >= 0:
                writer.escaped(beyond)
            writer.value(start, frequency)
        return writer.finish()

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """Decode a stream: see `Coder.decode`."""
        if len(data) % 4 or len(data) < 8:
            raise CoderError("the stream is not a sequence of rANS words")
        reader = _Reader(np.frombuffer(data, dtype="<u4").tolist())
        rows = tables.rows
        values = [reader.value(rows[i]) for i in indexes.tolist()]
        reader.finish()
        return (np.array(values, dtype=np.int64) + tables.offsets[indexes]).astype(np.int32)


class _Writer:
    """The encoder's state and the words written so far. The reader reads last what was written first."""

    def __init__(self) -> None:
        self._words: list[int] = []
        self._state = _STATE_MIN

    def value(self, start: int, frequency: int) -> None:
        """Write a value, given the start and the frequency of its bin in the CDF."""
        self._make_room(frequency)
        quotient, rest = divmod(self._state, frequency)
        self._state = (quotient << PRECISION) + rest + start

    def escaped(self, folded: int) -> None:
        """Write what follows an escape: the number of nibbles, and the nibbles from the lowest on."""
        count = -(-folded.bit_length() // NIBBLE_BITS)
        for j in reversed(range(count)):
            self._nibble(folded >> NIBBLE_BITS * j & _NIBBLE_MAX)
        self._nibble(count)

    def finish(self) -> bytes:
        """Return the stream: the state, then the words from the last to the first."""
        words = [self._state & _WORD_MASK, self._state >> _WORD_BITS, *reversed(self._words)]
        return np.array(words, dtype="<u4").tobytes()

    def _nibble(self, nibble: int) -> None:
        self._make_room(1 << PRECISION - NIBBLE_BITS)
        self._state = self._state << NIBBLE_BITS | nibble

    def _make_room(self, frequency: int) -> None:
        if self._state >= (_STATE_MIN >> PRECISION << _WORD_BITS) * frequency:
            self._words.append(self._state & _WORD_MASK)
            self._state >>= _WORD_BITS


class _Reader:
    """The decoder's state over a list of words. Reading beyond the last word raises CoderError."""

    def __init__(self, words: list[int]) -> None:
        self._words = words
        self._next = 2
        self._state = words[0] | words[1] << 32

    def value(self, cdf: list[int]) -> int:
        """Read a value by its CDF, whose last bin is the escape."""
        state = self._state
        low = state & _MASK
        found = bisect_right(cdf, low) - 1
        start = cdf[found]
        self._set((cdf[found + 1] - start) * (state >> PRECISION) + low - start)
        return self._escaped(found) if found == len(cdf) - 2 else found

    def finish(self) -> None:
        """Raise CoderError unless all words were read and the state is the one that the encoder began with."""
        if self._next != len(self._words) or self._state != _STATE_MIN:
            raise CoderError("the stream does not end where its symbols do")

    def _escaped(self, escape: int) -> int:
        count = self._nibble()
        if count > MAX_NIBBLES:
            raise CoderError("the stream holds a value out of range")
        folded = sum(self._nibble() << NIBBLE_BITS * j for j in range(count))
        return -(folded >> 1) - 1 if folded & 1 else (folded >> 1) + escape

    def _nibble(self) -> int:
        nibble = self._state & _NIBBLE_MAX
        self._set(self._state >> NIBBLE_BITS)
        return nibble

    def _set(self, state: int) -> None:
        if state < _STATE_MIN:
            if self._next == len(self._words):
                raise CoderError("the stream ends before its symbols do")
            state = state << 32 | self._words[self._next]
            self._next += 1
        self._state = state
