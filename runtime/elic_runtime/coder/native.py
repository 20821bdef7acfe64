"""CompressAI's rANS coder in C: rans.c, compiled when the package is built and called through ctypes.

ctypes rather than an extension module, so that one compiled file serves every version of Python, and so that it can be
cross-compiled without Python's headers. The calls release the interpreter's lock: other threads go on.
"""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from elic_runtime.coder.protocol import Indexes, Symbols
from elic_runtime.errors import CoderError
from elic_runtime.tables import CdfTables

LIBRARY = Path(__file__).with_name({"win32": "_rans.dll", "darwin": "_rans.dylib"}.get(sys.platform, "_rans.so"))
"""rans.c, compiled; absent where no compiler was found at installation."""

_HINTS = 256

_MESSAGES = {
    -1: "the tables are not distributions",
    -2: "a symbol has a row that the tables do not have",
    -3: "a symbol is too far out of range to be coded",
    -4: "the symbols do not fit in their buffer",
    -5: "the stream ends before its symbols do",
    -6: "the stream holds a value out of range",
    -7: "the stream does not end where its symbols do",
}
"""What the negative numbers mean that functions of rans.c return."""


class _Tables(ctypes.Structure):
    """`elic_tables` of rans.c."""

    _fields_ = (
        ("cdfs", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("hints", ctypes.c_void_p),
        ("rows", ctypes.c_int32),
        ("longest", ctypes.c_int32),
    )


class _Prepared(NamedTuple):
    """Tables as rans.c takes them, and the arrays that they point to."""

    tables: _Tables
    arrays: tuple[NDArray[Any], ...]


class NativeCoder:
    """Implements `elic_runtime.coder.protocol.Coder`. Raises OSError if the library cannot be loaded."""

    name = "C"

    def __init__(self) -> None:
        self._library = load_library()
        self._prepared: WeakKeyDictionary[CdfTables, _Prepared] = WeakKeyDictionary()

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Encode symbols: see `Coder.encode`."""
        symbols, rows = _flat(symbols, np.int32), _flat(indexes, np.uint16)
        _check_lengths(symbols, rows)
        words = np.empty(2 * len(symbols) + 2, dtype=np.uint32)
        prepared = self._prepare(tables)
        count = self._library.elic_rans_encode(
            *(ctypes.byref(prepared.tables), symbols.ctypes.data, rows.ctypes.data, len(symbols)),
            *(words.ctypes.data, len(words)),
        )
        return words[len(words) - _checked(count) :].astype("<u4", copy=False).tobytes()

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """Decode a stream: see `Coder.decode`."""
        if len(data) % 4:
            raise CoderError("the stream is not a sequence of rANS words")
        words, rows = np.frombuffer(data, dtype="<u4").astype(np.uint32), _flat(indexes, np.uint16)
        symbols = np.empty(len(rows), dtype=np.int32)
        prepared = self._prepare(tables)
        result = self._library.elic_rans_decode(
            *(ctypes.byref(prepared.tables), words.ctypes.data, len(words)),
            *(rows.ctypes.data, len(rows), symbols.ctypes.data),
        )
        _checked(result)
        return symbols

    def _prepare(self, tables: CdfTables) -> _Prepared:
        prepared = self._prepared.get(tables)
        if prepared is None:
            n, longest = tables.cdfs.shape
            arrays = (
                *(_flat(array, np.int32) for array in (tables.cdfs, tables.lengths, tables.offsets)),
                np.empty(n * _HINTS, dtype=np.uint16),
            )
            if not len(arrays[1]) == len(arrays[2]) == n:
                raise CoderError(_MESSAGES[-1])
            prepared = _Prepared(_Tables(*(array.ctypes.data for array in arrays), n, longest), arrays)
            _checked(self._library.elic_rans_prepare(ctypes.byref(prepared.tables)))
            self._prepared[tables] = prepared  # if two threads prepare one each, either can be used
        return prepared


@cache
def load_library() -> ctypes.CDLL:
    """Load rans.c, compiled. Raises OSError if it is absent or was compiled for another machine."""
    library = ctypes.CDLL(str(LIBRARY))
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    for name, arguments in (
        ("elic_rans_prepare", (pointer,)),
        ("elic_rans_encode", (pointer, pointer, pointer, size, pointer, size)),
        ("elic_rans_decode", (pointer, pointer, size, pointer, size, pointer)),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, size
    return library


def _flat(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    return array.astype(dtype, order="C", casting="safe", copy=False).ravel()  # TypeError rather than wrapped values


def _check_lengths(symbols: Symbols, rows: Indexes) -> None:
    if len(symbols) != len(rows):
        raise CoderError(f"{len(symbols)} symbols have {len(rows)} rows")


def _checked(result: int) -> int:
    if result < 0:
        raise CoderError(_MESSAGES[result])
    return result
