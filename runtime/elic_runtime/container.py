"""The compressed file, `.elic`: what it contains, and how that is written.

docs/format.md is the specification, `container_reading.py` the other way.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from elic_runtime.metadata import KINDS, NO_METADATA, Metadata
from elic_runtime.shapes import DOWNSAMPLING
from elic_runtime.steps import STEP_UNIT
from elic_runtime.tiles import TileGrid

MAGIC = b"ELIC"
VERSION = 2
SUFFIX = ".elic"

FINGERPRINT_BYTES = 8
"""How many bytes of the bundle's fingerprint a file contains."""

ARITHMETIC = {"float": 0, "exact": 1}
"""The numbers that stand for the arithmetic of the context model."""

CODER = 0
"""The number that stands for the entropy coder, CompressAI's rANS. There is no other."""

HEADER = struct.Struct("<4s4B8s2I3HI")
CRC = struct.Struct("<I")
SYMBOLS_CRC = struct.Struct("<H")
"""Layout of the header without its checksum, and of the checksums of bytes and of symbols."""


@dataclass(frozen=True)
class Section:
    """Streams with a common checksum: that of z, or those of the two passes of a slice of y.

    Parameters
    ----------
    streams : tuple of bytes
        One stream for z; the anchor and the non-anchor stream for a slice.
    symbols_crcs : tuple of int
        Checksum of each stream's decoded symbols, as `symbols_checksum` computes it.

    """

    streams: tuple[bytes, ...]
    symbols_crcs: tuple[int, ...]

    @property
    def size(self) -> int:
        """Size of the streams in bytes."""
        return sum(map(len, self.streams))

    def stream(self, half: int) -> tuple[bytes, int] | None:
        """Return the stream of a pass, with the checksum of its symbols, or None if it is missing."""
        return (self.streams[half], self.symbols_crcs[half]) if half < len(self.streams) else None


@dataclass(frozen=True)
class CodedTile:
    """One tile: the section of z, and the sections of the slices of y in coding order.

    Of a file that ends early there may be fewer slices, and the last of them may have its first pass only.
    """

    z: Section
    slices: tuple[Section, ...]

    @property
    def passes(self) -> int:
        """Number of passes of y."""
        return sum(len(section.streams) for section in self.slices)

    @property
    def checked(self) -> "CodedTile":
        """The tile without a pass at its end whose slice is not complete, which no checksum of bytes covers."""
        alone = self.slices and len(self.slices[-1].streams) == 1
        return replace(self, slices=self.slices[:-1]) if alone else self

    def stream(self, k: int, half: int) -> tuple[bytes, int] | None:
        """Return the stream of slice k and pass `half`, with the checksum of its symbols, or None if it is missing."""
        return self.slices[k].stream(half) if k < len(self.slices) else None


@dataclass(frozen=True)
class Container:
    """The content of a file.

    Parameters
    ----------
    arithmetic : {"float", "exact"}
        Arithmetic of the context model.
    fingerprint : bytes
        The first `FINGERPRINT_BYTES` bytes of the bundle's fingerprint.
    grid : TileGrid
        Size of the image and of its tiles.
    step : float
        By how much y_hat grows with a symbol of y; a multiple of 1/128.
    n_slices : int
        Slices of y.
    tiles : tuple of CodedTile
        The tiles, row by row. Of a file that ends early they may be fewer.
    metadata : Metadata
        What the file says of its picture.

    """

    arithmetic: str
    fingerprint: bytes
    grid: TileGrid
    step: float
    n_slices: int
    tiles: tuple[CodedTile, ...]
    metadata: Metadata = NO_METADATA

    def first(self, slices: int) -> "Container":
        """Return the container without those slices of y that follow the first ones."""
        return replace(self, tiles=tuple(replace(tile, slices=tile.slices[:slices]) for tile in self.tiles))


def serialize(container: Container) -> bytes:
    """Return the bytes of a file."""
    grid = container.grid
    metadata = b"".join(
        bytes([KINDS[name]]) + pack_length(len(value)) + value for name, value in container.metadata.items()
    )
    header = HEADER.pack(
        MAGIC,
        VERSION,
        CODER,
        ARITHMETIC[container.arithmetic],
        container.n_slices,
        container.fingerprint,
        grid.width,
        grid.height,
        grid.tile_width // DOWNSAMPLING,
        grid.tile_height // DOWNSAMPLING,
        round(container.step * STEP_UNIT),
        len(metadata),
    )
    parts = [_with_crc(header)]
    if metadata:
        parts.append(_with_crc(metadata))
    for tile in container.tiles:
        sections = (tile.z, *tile.slices)
        parts.extend(map(_index_entry, sections))
        parts.extend(stream for section in sections for stream in section.streams)
    return b"".join(parts)


def short_fingerprint(fingerprint: str) -> bytes:
    """Return what a file holds of a bundle's fingerprint, which is in hex."""
    return bytes.fromhex(fingerprint)[:FINGERPRINT_BYTES]


def symbols_checksum(symbols: NDArray[np.int32]) -> int:
    """Return the low 16 bits of the CRC-32 of a stream's symbols as little-endian int32."""
    return zlib.crc32(np.ascontiguousarray(symbols, "<i4").data) & 0xFFFF


def _with_crc(data: bytes) -> bytes:
    return data + CRC.pack(zlib.crc32(data))


def _index_entry(section: Section) -> bytes:
    entry = b"".join(pack_length(len(stream)) for stream in section.streams)
    entry += b"".join(map(SYMBOLS_CRC.pack, section.symbols_crcs))
    return entry + CRC.pack(chained_crc((entry, *section.streams)))


def pack_length(value: int) -> bytes:
    """Encode as LEB128: seven bits per byte, the lowest first; the top bit is set in all bytes but the last."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(0x80 | value & 0x7F)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def chained_crc(parts: Sequence[bytes]) -> int:
    """Return the CRC-32 of parts, one after the other."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc
