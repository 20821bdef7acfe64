"""Entropy coding of latents: the walk over slices and passes, joined with the entropy coder.

```
y, z ─ symbols of z ─ h_s ─ context passes, symbols of y ─ coder ─ coded tile
coded tile ─ coder, z ─ h_s ─ context passes, coder ─ y_hat
```
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from elic_runtime.coder import Coder, Indexes
from elic_runtime.container import CodedTile, Section, symbols_checksum
from elic_runtime.context import ContextModel, Floats, Symbols, pack
from elic_runtime.errors import CoderError, DesyncError, FormatError, NotFiniteError
from elic_runtime.manifest import Manifest
from elic_runtime.runners import Arrays, Runner
from elic_runtime.shapes import DOWNSAMPLING
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR
from elic_runtime.tables import CdfTables, EntropyTables
from elic_runtime.windowed import Tick, Windowed, no_tick

STEPS_AT_HAND = 8
"""For how many steps the lookup tables of scale indexes are kept, of up to 0.5 MB each."""

PLAUSIBLE = 2048
"""An upper bound, with a margin, of the symbols that trained models produce. Larger symbols may overflow fp16."""


class LatentCoding:
    """The entropy model of a bundle, for latents of any size.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    tables : EntropyTables
        Its entropy tables.
    deciding : mapping of str to Windowed
        Its subgraphs that decide symbols, by name.

    """

    def __init__(self, manifest: Manifest, tables: EntropyTables, deciding: Mapping[str, Windowed]) -> None:
        self._model, self._tables, self._deciding = manifest.model, tables, deciding
        self._tables_at = lru_cache(maxsize=STEPS_AT_HAND)(tables.at_step)
        self._why_desync = _WHY_DESYNC[manifest.arithmetic]

    @property
    def room(self) -> bool:
        """Whether latents may be larger than the graphs."""
        return all(graph.windows.room for graph in self._deciding.values())

    def count(self, height: int, width: int) -> int:
        """Return how many windows the latent of an image of a size in pixels needs."""
        return sum(graph.count(height, width) for graph in self._deciding.values())

    def encode(self, coder: Coder, y: Floats, z: Floats, step: float, tick: Tick = no_tick) -> list[CodedTile]:
        """Encode latents.

        Parameters
        ----------
        coder : Coder
            The entropy coder.
        y, z : ndarray
            float32 [B, M, H/16, W/16] and [B, N, H/64, W/64]. y is overwritten with y_hat.
        step : float
            By how much y_hat grows with a symbol.
        tick : callable, optional
            Is called after every window.

        Returns
        -------
        list of CodedTile
            One for each of the batch.

        Raises
        ------
        CoderError
            If a symbol is too large to be coded.

        """
        z_symbols = _round(z - self._medians)
        z_indexes, items = _z_indexes(z_symbols.shape[1:]), range(len(z))
        coded_z = [_encode(coder, z_symbols[b], z_indexes, self._tables.z) for b in items]
        first = np.cumsum([0, *self._model.groups])
        passes: list[list[_Stream]] = [[] for _ in items]
        tables = self._tables_at(step)

        def code(k: int, half: int, means: Floats, scales: Floats) -> Symbols:
            packed = pack(y[:, first[k] : first[k + 1]], self._model.anchor_parity ^ half)
            np.subtract(packed, means, out=packed)
            symbols = _round(packed if step == 1 else np.divide(packed, np.float32(step), out=packed))
            indexes = tables.scale_indexes(scales)
            for b in items:
                passes[b].append(_encode(coder, symbols[b], indexes[b], tables.y))
            return symbols

        self._walk(z_symbols, code, step, tick, y)
        return [CodedTile(_section(coded_z[b]), tuple(map(_section, *_halves(passes[b])))) for b in items]

    def decode(
        self,
        coder: Coder,
        tiles: Sequence[CodedTile],
        height: int,
        width: int,
        step: float,
        seen: "LargestSymbol",
        tick: Tick = no_tick,
    ) -> Floats:
        """Decode latents.

        Parameters
        ----------
        coder : Coder
            The entropy coder.
        tiles : sequence of CodedTile
            What `encode` returned, of latents of one shape. Slices and passes that are missing are predicted.
        height, width : int
            Size of each image in pixels.
        step : float
            That of the files.
        seen : LargestSymbol
            Is told all symbols before a subgraph gets them.
        tick : callable, optional
            Is called after every window.

        Returns
        -------
        ndarray
            y_hat: float32 [B, M, H/16, W/16].

        Raises
        ------
        DesyncError
            If the symbols are not those that were encoded.

        """
        tables = self._tables_at(step)

        def decode(streams: list[_Stream | None], indexes: Indexes, cdfs: CdfTables) -> Symbols:
            """Decode one pass of every latent, and check it against its checksum; `indexes` is [B, ...]."""
            parts = [_decode(coder, s, i, cdfs)[None] for s, i in zip(streams, indexes, strict=True)]
            symbols = parts[0] if len(parts) == 1 else np.concatenate(parts)
            seen.note(symbols)
            return symbols

        def code(k: int, half: int, _means: Floats, scales: Floats) -> Symbols:
            with self._desync(f"slice {k}"):
                indexes = tables.scale_indexes(scales)
                return decode([tile.stream(k, half) for tile in tiles], indexes, tables.y)

        z_indexes = _z_indexes((self._model.N, height // DOWNSAMPLING, width // DOWNSAMPLING))
        with self._desync("z"):
            indexes = np.broadcast_to(z_indexes, (len(tiles), *z_indexes.shape))
            z_symbols = decode([tile.z.stream(0) for tile in tiles], indexes, self._tables.z)
        return self._walk(z_symbols, code, step, tick)

    def _walk(
        self,
        z_symbols: Symbols,
        code: Callable[[int, int, Floats, Floats], Symbols],
        step: float,
        tick: Tick,
        out: Floats | None = None,
    ) -> Floats:
        def load(name: str) -> Runner:
            def run(inputs: Arrays) -> Arrays:
                return self._deciding[name](inputs, tick)

            return run

        latents = load(H_S)({"z_hat": z_symbols.astype(np.float32) + self._medians})
        context = ContextModel(self._model, load)
        return context.walk(latents, code, out, step)

    @contextmanager
    def _desync(self, what: str) -> Iterator[None]:
        """Turn a CoderError of the block into a DesyncError that explains the cause."""
        try:
            yield
        except CoderError as error:
            raise DesyncError(f"{what} does not decode to what was encoded ({error}): {self._why_desync}") from None

    @property
    def _medians(self) -> Floats:
        return self._tables.medians[None, :, None, None]


class LargestSymbol:
    """The largest magnitude of the symbols of a file so far, which explains outputs that are not finite."""

    def __init__(self) -> None:
        self.magnitude = 0

    def note(self, symbols: Symbols) -> None:
        """Take some of the symbols."""
        self.magnitude = max(self.magnitude, int(symbols.max(initial=0)), -int(symbols.min(initial=0)))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn a NotFiniteError of the block into a FormatError if no image produces such symbols."""
        try:
            yield
        except NotFiniteError as error:
            if self.magnitude <= PLAUSIBLE:
                raise
            raise FormatError(
                f"it contains symbols of up to {self.magnitude}, which no image produces: {error}"
            ) from None


_Stream = tuple[bytes, int]
"""A stream, and the checksum of its symbols."""


def _encode(coder: Coder, symbols: Symbols, indexes: Indexes, tables: CdfTables) -> _Stream:
    return coder.encode(symbols.ravel(), indexes.ravel(), tables), symbols_checksum(symbols)


def _decode(coder: Coder, stream: _Stream | None, indexes: Indexes, tables: CdfTables) -> Symbols:
    """Return the symbols of a stream. Those of a missing one are 0, so that y_hat is the predicted mean."""
    if stream is None:
        return np.zeros(indexes.shape, np.int32)
    data, checksum = stream
    symbols = coder.decode(data, indexes.ravel(), tables).reshape(indexes.shape)
    if symbols_checksum(symbols) != checksum:
        raise CoderError("the checksum of the decoded symbols differs")
    return symbols


def _section(*streams: _Stream) -> Section:
    return Section(tuple(stream for stream, _ in streams), tuple(checksum for _, checksum in streams))


def _halves(passes: list[_Stream]) -> tuple[list[_Stream], list[_Stream]]:
    return passes[ANCHOR::2], passes[NONANCHOR::2]


def _round(values: Floats) -> Symbols:
    """Round in place, and return the symbols."""
    # No coder takes values beyond these limits, and much larger ones would overflow int32.
    np.rint(values, out=values)
    np.clip(values, -(2.0**30), 2.0**30, out=values)
    return values.astype(np.int32)


def _z_indexes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return the row of the CDF table that codes each symbol of z, which is its channel: uint16 [N, H, W]."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.uint16)[:, None, None], shape)


_WHY_DESYNC = {
    "exact": "the fingerprint is that of this bundle, so one of the two machines does not compute the bundle's "
    "integers; run elic conformance on both",
    "float": "the fingerprint is that of this bundle, but the float arithmetic of this machine is not that of the "
    "encoder; decode with the encoder's backend, thread count and processor, or use a bundle of exact arithmetic",
}
"""Why a whole file of this bundle may decode to other symbols, by the bundle's arithmetic."""
