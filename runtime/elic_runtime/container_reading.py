"""Bytes -> the content of an `.elic` file, whole, or as far as a file reaches that ends early or is still arriving.

docs/format.md is the specification. Every number that is read is bounded before it is used: no allocation is larger
than the bytes that are there justify.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from elic_runtime.container import (
    ARITHMETIC,
    CODER,
    CRC,
    HEADER,
    MAGIC,
    SYMBOLS_CRC,
    VERSION,
    CodedTile,
    Container,
    Section,
    chained_crc,
    pack_length,
)
from elic_runtime.errors import ChecksumError, ContainerError, FormatError, TruncatedError
from elic_runtime.metadata import KINDS, MAX_METADATA, Metadata
from elic_runtime.model_info import MAX_SLICES
from elic_runtime.shapes import DOWNSAMPLING, MAX_PIXELS
from elic_runtime.steps import MAX_STEP, MIN_STEP, STEP_UNIT, valid_units
from elic_runtime.tiles import TileGrid

Check = Callable[[Container], None]
"""Is called with the header, a container without tiles, before anything else is read. Its exceptions are passed on."""

_ARITHMETIC_NAMES = {code: name for name, code in ARITHMETIC.items()}
_KIND_NAMES = {code: name for name, code in KINDS.items()}
_MIN_SECTION = 1 + SYMBOLS_CRC.size + CRC.size
_MAX_LENGTH_BYTES = 5
_CHUNK = 1 << 16


class Source(Protocol):
    """A stream of bytes, such as an open file, or a socket's `makefile("rb")`."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, and none at the end of the stream."""
        ...


def parse(data: bytes, max_pixels: int = MAX_PIXELS, check: Check | None = None) -> Container:
    """Parse a file, and check every byte of it.

    Parameters
    ----------
    data : bytes
        The file.
    max_pixels : int
        An image with more pixels is refused.
    check : callable, optional
        Refuses files by their header.

    Raises
    ------
    FormatError
        If the data are not an `.elic` file, or a field is out of bounds.
    TruncatedError
        If the file ends early.
    ChecksumError
        If a checksum differs.

    """
    arriving = Arriving(io.BytesIO(data), max_pixels, check)
    header, left = arriving.header, len(data) - arriving.taken
    if header.grid.tiles * (1 + header.n_slices) * _MIN_SECTION > left:
        raise TruncatedError(f"the file ends early: {header.grid.tiles} tiles do not fit in {left} bytes")
    tiles: list[CodedTile] = []
    for number, tile in arriving:
        tiles[number:] = [tile]
    if arriving.taken < len(data):
        raise FormatError(f"{len(data) - arriving.taken} bytes follow the last stream")
    return replace(header, tiles=tuple(tiles))


def parse_prefix(data: bytes, max_pixels: int = MAX_PIXELS, check: Check | None = None) -> Container:
    """Parse a file as far as it goes: up to its end, which may come early, or to the first damage.

    Parameters
    ----------
    data, max_pixels, check
        As `parse` takes them.

    Returns
    -------
    Container
        The tiles, slices and passes that are there. Only a single pass at the end, whose slice is not complete, was not
        checked: decoding does that.

    Raises
    ------
    ContainerError
        As `parse` raises it, if not even the header and the first tile's z are there.

    """
    arriving = Arriving(io.BytesIO(data), max_pixels, check)
    tiles: list[CodedTile] = []
    try:
        for number, tile in arriving:
            tiles[number:] = [tile]
    except ContainerError as error:
        if not tiles:
            raise
        if not isinstance(error, TruncatedError):
            tiles[-1] = tiles[-1].checked  # which of the two passes is damaged is not known
    return replace(arriving.header, tiles=tuple(tiles))


class Arriving:
    """A file that is read from a stream. Iterating yields each tile as it grows, with its number.

    A tile is yielded with z alone, then after each pass. It waits for bytes as long as the stream does.

    Parameters
    ----------
    source : Source
        The stream.
    max_pixels, check
        As `parse` takes them.

    Attributes
    ----------
    header : Container
        The header: a container without tiles.

    Raises
    ------
    ContainerError
        As `parse` raises it, also while iterating.

    """

    def __init__(self, source: Source, max_pixels: int = MAX_PIXELS, check: Check | None = None) -> None:
        self._reader = _Reader(source)
        header, metadata = _parse_header(self._reader, max_pixels)
        if check is not None:
            check(header)
        self.header = replace(header, metadata=_parse_metadata(self._reader, metadata))

    @property
    def taken(self) -> int:
        """How many bytes were read."""
        return self._reader.taken

    def __iter__(self) -> Iterator[tuple[int, CodedTile]]:
        """Yield tiles as they grow, with their numbers."""
        for number in range(self.header.grid.tiles):
            for tile in _parse_tile(self._reader, self.header.n_slices):
                yield number, tile


class _Reader:
    """A cursor over a stream, which never allocates more than has arrived."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.taken = 0

    def take(self, size: int, what: str) -> bytes:
        parts, left = list[bytes](), size
        while left:
            part = self._source.read(min(left, _CHUNK))
            if not part:
                raise TruncatedError(f"the file ends in {what}: {size} bytes are needed, {size - left} are left")
            parts.append(part)
            left -= len(part)
        self.taken += size
        return b"".join(parts)

    def take_crc(self, what: str, layout: struct.Struct = CRC) -> int:
        return int(layout.unpack(self.take(layout.size, what))[0])

    def take_length(self, what: str) -> tuple[int, bytes]:
        """Read a LEB128 number. Returns it with the bytes that it was read from."""
        value, raw = 0, b""
        for shift in range(0, 7 * _MAX_LENGTH_BYTES, 7):
            byte = self.take(1, what)
            raw += byte
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                if raw != pack_length(value):
                    raise FormatError(f"{what} has a length that is not in its shortest form")
                return value, raw
        raise FormatError(f"{what} has a length of more than {_MAX_LENGTH_BYTES} bytes")


def _parse_header(reader: _Reader, max_pixels: int) -> tuple[Container, int]:
    """Parse the header into a container without tiles, and the size of the metadata."""
    signature = reader.take(len(MAGIC), "the signature")
    if signature != MAGIC:
        raise FormatError("not an .elic file: the signature differs")
    data = signature + reader.take(HEADER.size - len(MAGIC), "the header")
    if reader.take_crc("the header") != zlib.crc32(data):
        raise ChecksumError("the header is damaged: its checksum differs")
    _, version, *codes, fingerprint, width, height, tile_width, tile_height, step, metadata = HEADER.unpack(data)
    coder, arithmetic, n_slices = codes
    if version != VERSION:
        raise FormatError(f"format version {version}: this program reads version {VERSION}")
    if coder != CODER or arithmetic not in _ARITHMETIC_NAMES or not 0 < n_slices <= MAX_SLICES:
        raise FormatError("the header names a coder, an arithmetic or a number of slices that do not exist")
    if 0 in (width, height, tile_width, tile_height) or width * height > max_pixels:
        raise FormatError(f"an image of {width}x{height} is outside the limit of {max_pixels} pixels")
    grid = TileGrid(height, width, tile_height * DOWNSAMPLING, tile_width * DOWNSAMPLING)
    if grid.tile_height * grid.tile_width > MAX_PIXELS:
        raise FormatError(f"tiles of {grid.tile_width}x{grid.tile_height} are outside the limit of {MAX_PIXELS} pixels")
    if not valid_units(step):
        raise FormatError(f"a step of {step / STEP_UNIT:g} is not from {MIN_STEP:g} to {MAX_STEP:g}")
    if metadata > MAX_METADATA:
        raise FormatError(f"metadata of {metadata} bytes are outside the limit of {MAX_METADATA} bytes")
    return Container(_ARITHMETIC_NAMES[arithmetic], fingerprint, grid, step / STEP_UNIT, n_slices, ()), metadata


def _parse_metadata(reader: _Reader, size: int) -> Metadata:
    """Parse the section of metadata, of which each kind may occur once. Unknown kinds are skipped."""
    if not size:
        return Metadata()
    what = "the metadata"
    data = reader.take(size, what)
    if reader.take_crc(what) != zlib.crc32(data):
        raise ChecksumError("the metadata are damaged: their checksum differs")
    found: dict[str, bytes] = {}
    part = _Reader(io.BytesIO(data))
    while part.taken < size:
        kind = part.take(1, what)[0]
        length, _ = part.take_length(what)
        value = part.take(length, what)
        if (name := _KIND_NAMES.get(kind)) is None:
            continue  # of a later program
        if name in found:
            raise FormatError(f"the metadata have two entries of the kind {name}")
        found[name] = value
    return Metadata(**found)


@dataclass(frozen=True)
class _IndexEntry:
    name: str
    lengths: tuple[int, ...]
    symbols_crcs: tuple[int, ...]
    raw: bytes
    crc: int


def _parse_tile(reader: _Reader, n_slices: int) -> Iterator[CodedTile]:
    """Yield a tile as it grows."""
    entries = [_parse_entry(reader, "z", 1)]
    entries += [_parse_entry(reader, f"slice {k}", 2) for k in range(n_slices)]
    first, *others = entries
    *_, z = _parse_section(reader, first)
    tile = CodedTile(z, ())
    yield tile
    for entry in others:
        before = tile
        for section in _parse_section(reader, entry):
            tile = replace(tile, slices=(*before.slices, section))
            yield tile


def _parse_entry(reader: _Reader, name: str, streams: int) -> _IndexEntry:
    what = f"the index of {name}"
    lengths, raws = zip(*(reader.take_length(what) for _ in range(streams)), strict=True)
    symbols_crcs = tuple(reader.take_crc(what, SYMBOLS_CRC) for _ in range(streams))
    raw = b"".join((*raws, *map(SYMBOLS_CRC.pack, symbols_crcs)))
    return _IndexEntry(name, lengths, symbols_crcs, raw, reader.take_crc(what))


def _parse_section(reader: _Reader, entry: _IndexEntry) -> Iterator[Section]:
    """Yield a section as it grows; it is checked when it is complete."""
    streams: tuple[bytes, ...] = ()
    for length in entry.lengths:
        streams = (*streams, reader.take(length, f"the stream of {entry.name}"))
        if len(streams) == len(entry.lengths) and chained_crc((entry.raw, *streams)) != entry.crc:
            raise ChecksumError(f"{entry.name} is damaged: its checksum differs")
        yield Section(streams, entry.symbols_crcs)
