"""The protocol of entropy coders: symbols and their rows in a CDF table <-> bytes."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from elic_runtime.tables import CdfTables

Symbols = NDArray[np.int32]
Indexes = NDArray[np.uint16]


class Coder(Protocol):
    """Codes one pass of one tile as one stream. The stream contains neither its length nor the rows of its symbols."""

    name: str
    """The language that the coder is written in."""

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Encode symbols, of which those outside the range of their row cost more bits.

        Parameters
        ----------
        symbols : ndarray
            int32 [n].
        indexes : ndarray
            uint16 [n]: the row of `tables` that codes each symbol.
        tables : CdfTables
            The distributions.

        Raises
        ------
        CoderError
            If a symbol is too far outside the range of its row.

        """
        ...

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """Decode a stream.

        Parameters
        ----------
        data : bytes
            The stream.
        indexes : ndarray
            uint16 [n]: the row of `tables` that codes each symbol.
        tables : CdfTables
            The distributions.

        Returns
        -------
        ndarray
            The symbols: int32 [n].

        Raises
        ------
        CoderError
            If the stream is not the code of exactly n symbols. A damaged stream may also decode to wrong symbols
            without an error; the container's checksums detect this.

        """
        ...
