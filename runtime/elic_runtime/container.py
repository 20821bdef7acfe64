"""The compressed file, `.elic`: bytes <-> header, sections and streams.

docs/format.md is the specification. Every number that is read is bounded before it is used: no allocation is larger
than the remaining bytes of the file justify.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from elic_runtime.errors import ChecksumError, FormatError, TruncatedError
from elic_runtime.model_info import MAX_SLICES
from elic_runtime.shapes import DOWNSAMPLING, MAX_PIXELS
from elic_runtime.steps import MAX_STEP, MIN_STEP, STEP_UNIT, valid_units
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

_ARITHMETIC_NAMES = {code: name for name, code in ARITHMETIC.items()}

_HEADER = struct.Struct("<4s4B8s2I3H")
_CRC = struct.Struct("<I")
_SYMBOLS_CRC = struct.Struct("<H")
_MIN_SECTION = 1 + _SYMBOLS_CRC.size + _CRC.size
_MAX_LENGTH_BYTES = 5


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


@dataclass(frozen=True)
class CodedTile:
    """One tile: the section of z, and the sections of the slices of y in coding order."""

    z: Section
    slices: tuple[Section, ...]


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
    tiles : tuple of CodedTile
        The tiles, row by row.

    """

    arithmetic: str
    fingerprint: bytes
    grid: TileGrid
    step: float
    tiles: tuple[CodedTile, ...]


def serialize(container: Container) -> bytes:
    """Return the bytes of a file."""
    grid = container.grid
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        CODER,
        ARITHMETIC[container.arithmetic],
        len(container.tiles[0].slices),
        container.fingerprint,
        grid.width,
        grid.height,
        grid.tile_width // DOWNSAMPLING,
        grid.tile_height // DOWNSAMPLING,
        round(container.step * STEP_UNIT),
    )
    parts = [_with_crc(header)]
    for tile in container.tiles:
        sections = (tile.z, *tile.slices)
        parts.extend(map(_index_entry, sections))
        parts.extend(stream for section in sections for stream in section.streams)
    return b"".join(parts)


def parse(
    data: bytes, max_pixels: int = MAX_PIXELS, check: Callable[[Container, int], None] | None = None
) -> Container:
    """Parse a file, and check every byte of it.

    Parameters
    ----------
    data : bytes
        The file.
    max_pixels : int
        An image with more pixels is refused.
    check : callable, optional
        Called with the header (a container without tiles) and the number of slices, before anything else is read. Its
        exceptions are passed on.

    Raises
    ------
    FormatError
        If the data are not an `.elic` file, or a field is out of bounds.
    TruncatedError
        If the file ends early.
    ChecksumError
        If a checksum differs.

    """
    reader = _Reader(data)
    header, n_slices = _parse_header(reader, max_pixels)
    if check is not None:
        check(header, n_slices)
    if header.grid.tiles * (1 + n_slices) * _MIN_SECTION > reader.left:
        raise TruncatedError(f"the file ends early: {header.grid.tiles} tiles do not fit in {reader.left} bytes")
    tiles = tuple(_parse_tile(reader, n_slices) for _ in range(header.grid.tiles))
    if reader.left:
        raise FormatError(f"{reader.left} bytes follow the last stream")
    return replace(header, tiles=tiles)


def short_fingerprint(fingerprint: str) -> bytes:
    """Return what a file holds of a bundle's fingerprint, which is in hex."""
    return bytes.fromhex(fingerprint)[:FINGERPRINT_BYTES]


def symbols_checksum(symbols: NDArray[np.int32]) -> int:
    """Return the low 16 bits of the CRC-32 of a stream's symbols as little-endian int32."""
    return zlib.crc32(np.ascontiguousarray(symbols, "<i4").data) & 0xFFFF


def _with_crc(data: bytes) -> bytes:
    return data + _CRC.pack(zlib.crc32(data))


def _index_entry(section: Section) -> bytes:
    entry = b"".join(_pack_length(len(stream)) for stream in section.streams)
    entry += b"".join(map(_SYMBOLS_CRC.pack, section.symbols_crcs))
    return entry + _CRC.pack(_chained_crc((entry, *section.streams)))


def _pack_length(value: int) -> bytes:
    """Encode as LEB128: seven bits per byte, the lowest first; the top bit is set in all bytes but the last."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(0x80 | value & 0x7F)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _chained_crc(parts: Sequence[bytes]) -> int:
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


class _Reader:
    """A cursor over bytes, which never reads beyond their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int, what: str) -> bytes:
        if size > self.left:
            raise TruncatedError(f"the file ends in {what}: {size} bytes are needed, {self.left} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def take_crc(self, what: str, layout: struct.Struct = _CRC) -> int:
        return int(layout.unpack(self.take(layout.size, what))[0])

    def take_length(self, what: str) -> tuple[int, bytes]:
        """Read a LEB128 number. Returns it with the bytes that it was read from."""
        value, raw = 0, b""
        for shift in range(0, 7 * _MAX_LENGTH_BYTES, 7):
            byte = self.take(1, what)
            raw += byte
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                if raw != _pack_length(value):
                    raise FormatError(f"{what} has a length that is not in its shortest form")
                return value, raw
        raise FormatError(f"{what} has a length of more than {_MAX_LENGTH_BYTES} bytes")


def _parse_header(reader: _Reader, max_pixels: int) -> tuple[Container, int]:
    """Parse the header into a container without tiles, and the number of slices."""
    signature = reader.take(len(MAGIC), "the signature")
    if signature != MAGIC:
        raise FormatError("not an .elic file: the signature differs")
    data = signature + reader.take(_HEADER.size - len(MAGIC), "the header")
    if reader.take_crc("the header") != zlib.crc32(data):
        raise ChecksumError("the header is damaged: its checksum differs")
    _, version, *codes, fingerprint, width, height, tile_width, tile_height, step = _HEADER.unpack(data)
    coder, arithmetic, n_slices = codes
    if version != VERSION:
        raise FormatError(f"format version {version}: this program reads version {VERSION}")
    if coder != CODER or arithmetic not in _ARITHMETIC_NAMES or not 0 < n_slices <= MAX_SLICES:
        raise FormatError("the header names a coder, an arithmetic or a number of slices that do not exist")
    if 0 in (width, height, tile_width, tile_height) or width * height > max_pixels:
        raise FormatError(f"an image of {width}x{height} is outside the limit of {max_pixels} pixels")
    if not valid_units(step):
        raise FormatError(f"a step of {step / STEP_UNIT:g} is not from {MIN_STEP:g} to {MAX_STEP:g}")
    grid = TileGrid(height, width, tile_height * DOWNSAMPLING, tile_width * DOWNSAMPLING)
    if grid.tile_height * grid.tile_width > MAX_PIXELS:
        raise FormatError(f"tiles of {grid.tile_width}x{grid.tile_height} are outside the limit of {MAX_PIXELS} pixels")
    return Container(_ARITHMETIC_NAMES[arithmetic], fingerprint, grid, step / STEP_UNIT, ()), n_slices


@dataclass(frozen=True)
class _IndexEntry:
    name: str
    lengths: tuple[int, ...]
    symbols_crcs: tuple[int, ...]
    raw: bytes
    crc: int


def _parse_tile(reader: _Reader, n_slices: int) -> CodedTile:
    entries = [_parse_entry(reader, "z", 1)]
    entries += [_parse_entry(reader, f"slice {k}", 2) for k in range(n_slices)]
    z, *slices = (_parse_section(reader, entry) for entry in entries)
    return CodedTile(z, tuple(slices))


def _parse_entry(reader: _Reader, name: str, streams: int) -> _IndexEntry:
    what = f"the index of {name}"
    lengths, raws = zip(*(reader.take_length(what) for _ in range(streams)), strict=True)
    symbols_crcs = tuple(reader.take_crc(what, _SYMBOLS_CRC) for _ in range(streams))
    raw = b"".join((*raws, *map(_SYMBOLS_CRC.pack, symbols_crcs)))
    return _IndexEntry(name, lengths, symbols_crcs, raw, reader.take_crc(what))


def _parse_section(reader: _Reader, entry: _IndexEntry) -> Section:
    streams = tuple(reader.take(length, f"the stream of {entry.name}") for length in entry.lengths)
    if _chained_crc((entry.raw, *streams)) != entry.crc:
        raise ChecksumError(f"{entry.name} is damaged: its checksum differs")
    return Section(streams, entry.symbols_crcs)
