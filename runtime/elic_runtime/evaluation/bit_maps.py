"""Where in a photograph the bits of its file are: ideal code lengths of y, added over channels.

An observer takes the entropy coder's place in a codec, and sees every symbol with the distribution that codes it.
"""

import numpy as np
from numpy.typing import NDArray

from elic_runtime.coder import Coder, Indexes, Symbols
from elic_runtime.context import interleave
from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import LATENT_STRIDE
from elic_runtime.tables import NIBBLE_BITS, PRECISION, CdfTables


def code_lengths(symbols: Symbols, rows: Indexes, tables: CdfTables) -> NDArray[np.float64]:
    """Compute the ideal code length of symbols.

    Parameters
    ----------
    symbols : ndarray
        int32 [n].
    rows : ndarray
        uint16 [n]: the row of `tables` that codes each symbol.
    tables : CdfTables
        The distributions.

    Returns
    -------
    ndarray
        float64 [n]: bits. A symbol out of range costs its escape, and four bits for the number of
        nibbles and for each of them.

    """
    bins, escaped, folded = tables.bins(symbols, rows)
    frequencies = tables.cdfs[rows, bins + 1] - tables.cdfs[rows, bins]
    bits: NDArray[np.float64] = PRECISION - np.log2(frequencies.astype(np.float64))
    nibbles = np.ceil(np.log2(folded.astype(np.float64) + 1) / NIBBLE_BITS)
    bits[escaped] += NIBBLE_BITS * (1 + nibbles)
    return bits


class BitObserver:
    """An entropy coder that adds up where the bits of one latent are.

    Parameters
    ----------
    coder : Coder
        What writes the bytes.
    model : ModelInfo
        The model, whose passes are observed in order.
    height, width : int
        Size of the image in pixels, whole tiles.

    Attributes
    ----------
    bits : ndarray
        float64 [H/16, W/16]: bits of each position of y so far.

    """

    def __init__(self, coder: Coder, model: ModelInfo, height: int, width: int) -> None:
        self.name, self._coder, self._model = coder.name, coder, model
        self.bits = np.zeros((height // LATENT_STRIDE, width // LATENT_STRIDE))
        self._pass = -1  # z comes first

    def encode(self, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> bytes:
        """Encode as `Coder.encode`, one pass after the other."""
        if self._pass >= 0:
            lengths = code_lengths(symbols, indexes, tables)
            channels, half = self._model.groups[self._pass // 2], self._pass % 2
            height, width = self.bits.shape
            packed = np.zeros((2, 1, 1, height, width // 2), np.float32)
            packed[half] = lengths.reshape(channels, height, width // 2).sum(axis=0)
            placed = np.empty((1, 1, height, width), np.float32)
            interleave(packed[0], packed[1], self._model.anchor_parity, placed)
            self.bits += placed[0, 0]
        self._pass += 1
        return self._coder.encode(symbols, indexes, tables)

    def decode(self, data: bytes, indexes: Indexes, tables: CdfTables) -> Symbols:
        """Decode as `Coder.decode`."""
        return self._coder.decode(data, indexes, tables)
