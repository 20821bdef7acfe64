"""What an entropy coder is: symbols and rows of a CDF table <-> bytes."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from elic_runtime.tables import CdfTables

Symbols = NDArray[np.int32]
Indexes = NDArray[np.uint8] | NDArray[np.uint16]


class Coder(Protocol):
    """One pass of one tile is one stream; a stream knows neither its length nor its rows."""

    name: str

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Code integers.

        symbols: int32 [n]. indexes: uint8 or uint16 [n], the row of `tables` for each.
        Values out of a row's range cost more bits, never their value.
        """
        ...

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """The symbols of a stream: int32 [n] for indexes [n].

        Raises CoderError if the stream is not exactly the code of n symbols. A stream
        may still be wrong without saying so: the container's checksums tell.
        """
        ...
