"""TIFF (6.0 and BigTIFF): choose a reader that decodes a file correctly, according to the file's tags.

Pillow reads most layouts correctly, some wrongly without an error, and others not at all. Many of the latter two are
read by tifffile, if it is installed. Layouts that neither is known to read are refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from elic_runtime.errors import ImageError
from elic_runtime.images.embedded import upright_xmp
from elic_runtime.images.quiet import without_stderr
from elic_runtime.images.rasters import (
    Raster,
    Samples,
    opaque_samples,
    refuse_size,
    refuse_transparent,
    rounded,
    sixteen_bit_samples,
)
from elic_runtime.metadata import Metadata

_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _ORIENTATION, _CHANNELS, _STRIP_BYTES, _PLANAR = 266, 273, 274, 277, 279, 284
_TILES, _TILE_BYTES, _EXTRA, _FORMAT, _XMP, _IPTC = 324, 325, 338, 339, 700, 33723
_EXIF, _PROFILE, _GPS = 34665, 34675, 34853

_PARTS = ((_STRIPS, _TILES), (_STRIP_BYTES, _TILE_BYTES))
"""Tags of where the parts of the pixels begin and of how long they are, each for strips and for tiles."""

_READ = frozenset(
    {
        *(_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIPS, _ORIENTATION),
        *(_CHANNELS, _STRIP_BYTES, _PLANAR, _TILES, _TILE_BYTES, _EXTRA, _FORMAT, _XMP, _PROFILE),
    }
)
"""The tags that are read."""

_LOST = {_EXIF: "EXIF of a TIFF", _GPS: "a place", _IPTC: "IPTC"}
"""Tags whose content is not kept, and its names in messages."""

_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 18: "u8"}
"""NumPy's names, without byte order, of the field types that contain integers."""

_MAX_PAGES = 4096
"""How many pages a file may have."""

_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType: a reduced version of another page, and a transparency mask for one."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
_KINDS = {4: "a mask", 5: "CMYK", 8: "CIELAB", 9: "CIELAB", 10: "CIELAB", 32803: "raw sensor data", 34892: "raw data"}
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, YCBCR: 3}
"""The photometric interpretations that are read, and the numbers of their channels."""

_UNSIGNED, _UNDEFINED = 1, 4
_FORMATS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
"""The sample formats that are read, and the names of others for messages."""

_UNCOMPRESSED = 1
_BY_TIFFFILE = frozenset({1, 8, 32946})
"""Compressions that tifffile reads without other packages: none, and the two numbers that stand for Deflate."""


@dataclass
class Tags:
    """An image file directory.

    Parameters
    ----------
    order : {"<", ">"}
        The byte order of the file.
    values : dict
        The integers of each tag.
    blocks : dict
        The bytes of the tags that hold a colour profile or XMP.
    lost : set of int
        Tags that it has and that are not kept.
    orientation_at : int, optional
        Where in the file the value of the orientation is; None if it has none.

    """

    order: str
    values: dict[int, tuple[int, ...]] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    orientation_at: int | None = None

    def one(self, tag: int, default: int) -> int:
        """Return the first value of a tag, or `default` if the tag is missing."""
        return self.values.get(tag, (default,))[0]

    @property
    def channels(self) -> int:
        """Samples per pixel, including extra ones."""
        return self.one(_CHANNELS, 1)

    @property
    def bits(self) -> int:
        """Bits per sample. Raises ImageError if they differ between channels."""
        bits = set(self.values.get(_BITS, (1,))[: self.channels])
        if len(bits) != 1:
            raise ImageError(f"its channels have {', '.join(map(str, sorted(bits)))} bits, which is not coded")
        return bits.pop()

    @property
    def extra(self) -> tuple[int, ...]:
        """The kind of each channel in addition to those of the colour: 0 is unspecified, 1 and 2 are alpha."""
        count = self.channels - _COLOURS[self.one(_PHOTOMETRIC, -1)]
        given = self.values.get(_EXTRA, ())
        # If the kind of a single extra channel is not stated, viewers take it as alpha.
        return given if given or count != 1 else (2,)


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins like a TIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(data: bytes) -> Raster:
    """Read the one full-size image of a file.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    ImageError
        If the file has no full-size image or several, is truncated or transparent, or has a layout that is not read.
    Exception
        Any exception that a reader raises for damaged files.

    """
    page, tags = _only_page(data)
    _check(tags, len(data))
    if _pillow_reads(tags):
        pixels = _by_pillow(data, page, tags)
    elif _tifffile_reads(tags):
        pixels = _by_tifffile(data, page, tags)
    else:
        raise ImageError(f"TIFFs of this layout ({_layout(tags)}) are not read: save it again uncompressed or as PNG")
    if pixels.shape[:2] != (tags.one(_LENGTH, 0), tags.one(_WIDTH, 0)):
        raise ImageError("its decoded size is not the one that its tags state")
    others = [name for tag, name in _LOST.items() if tag in tags.lost]
    xmp = tags.blocks.get(_XMP)
    metadata = Metadata(xmp=upright_xmp(xmp) if xmp else None)
    return Raster(pixels, tags.one(_ORIENTATION, 1), tags.blocks.get(_PROFILE), metadata, tuple(others))


def _only_page(data: bytes) -> tuple[int, Tags]:
    """Return the number and the tags of the only page that is not a reduced version of another page."""
    pages = list(enumerate(_pages(data)))
    if any(tags.one(_SUBFILE, 0) & _MASK or tags.one(_PHOTOMETRIC, -1) == _MASK for _, tags in pages):
        raise ImageError("it has a page that is a transparency mask, which is not coded: flatten it first")
    full = [(page, tags) for page, tags in pages if not tags.one(_SUBFILE, 0) & _REDUCED]
    if len(full) != 1:
        raise ImageError("it has several frames: extract one first" if full else "it contains no full-size image")
    return full[0]


def _pages(data: bytes) -> Iterator[Tags]:
    """Yield the directories of a file in order."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count_of, entry, value_of = ("Q", 20, "Q") if big else ("H", 12, "I")
    (at,) = struct.unpack_from(f"{order}{value_of}", data, 8 if big else 4)
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) >= _MAX_PAGES:
            raise ImageError("its directories form a circle, or are too many")
        seen.add(at)
        (count,) = struct.unpack_from(f"{order}{count_of}", data, at)
        at += struct.calcsize(count_of)
        if count > 65535:
            raise ImageError("its directory is damaged")
        tags = Tags(order)
        for i in range(count):
            _read_entry(data, at + i * entry, tags, value_of)
        yield tags
        (at,) = struct.unpack_from(f"{order}{value_of}", data, at + count * entry)


def _read_entry(data: bytes, at: int, tags: Tags, value_of: str) -> None:
    tag, kind, count = struct.unpack_from(f"{tags.order}HH{value_of}", data, at)
    if tag in _LOST:
        tags.lost.add(tag)
    if tag not in _READ or kind not in _TYPES or not count:
        return
    dtype = np.dtype(tags.order + _TYPES[kind])
    at += 4 + struct.calcsize(value_of)
    if tag == _ORIENTATION:
        tags.orientation_at = at
    if count * dtype.itemsize > struct.calcsize(value_of):
        (at,) = struct.unpack_from(f"{tags.order}{value_of}", data, at)
    values = np.frombuffer(data, dtype, count, at)  # raises ValueError beyond the file
    if tag in (_PROFILE, _XMP):
        tags.blocks[tag] = values.tobytes()
    else:
        tags.values.setdefault(tag, tuple(values.tolist()))


def _check(tags: Tags, size: int) -> None:
    """Raise ImageError if the samples have no single meaning in RGB, or pixels are missing from the file."""
    refuse_size(tags.one(_WIDTH, 0), tags.one(_LENGTH, 0))
    photometric = tags.one(_PHOTOMETRIC, -1)
    if photometric not in _COLOURS:
        what = _KINDS.get(photometric)
        raise ImageError(
            f"{what} samples are not coded: convert it to 8- or 16-bit RGB first"
            if what
            else "it does not say what its samples mean (PhotometricInterpretation), or gives an unknown meaning"
        )
    formats = set(tags.values.get(_FORMAT, (_UNSIGNED,)))
    if not formats <= {_UNSIGNED, _UNDEFINED}:
        what = _FORMATS.get(max(formats), "other")
        raise ImageError(f"{tags.bits}-bit {what} samples are not coded: convert it to 8- or 16-bit RGB first")
    if tags.bits not in (1, 2, 4, 8, 16):
        raise ImageError(f"{tags.bits}-bit samples are not coded: convert it to 8- or 16-bit RGB first")
    if not 0 <= tags.channels - _COLOURS[photometric] <= 16 or len(tags.extra) > tags.channels - _COLOURS[photometric]:
        raise ImageError("its tags do not agree on how many channels it has")
    if tags.one(_ORIENTATION, 1) not in range(1, 9):
        tags.values[_ORIENTATION] = (1,)  # as libtiff and viewers do
    starts, lengths = (tags.values.get(strips) or tags.values.get(tiles, ()) for strips, tiles in _PARTS)
    if not starts or len(starts) != len(lengths) or any(a + n > size for a, n in zip(starts, lengths, strict=True)):
        raise ImageError("it is truncated, or its pixels are not where its tags say")
    if tags.one(_COMPRESSION, 1) == _UNCOMPRESSED and sum(lengths) < _least_bytes(tags):
        raise ImageError("it is truncated: it has fewer pixels than its tags say")


def _least_bytes(tags: Tags) -> int:
    """Return a lower bound of the size of uncompressed pixels. It is 0 for YCbCr, which may be subsampled."""
    if tags.one(_PHOTOMETRIC, -1) == YCBCR:
        return 0
    separate = tags.one(_PLANAR, 1) == 2
    row = -(-tags.one(_WIDTH, 0) * tags.bits * (1 if separate else tags.channels) // 8)
    return row * tags.one(_LENGTH, 0) * (tags.channels if separate else 1)


def _pillow_reads(tags: Tags) -> bool:
    """Return whether Pillow reads this layout correctly; the tests cover all combinations of these conditions."""
    photometric, bits, extra = tags.one(_PHOTOMETRIC, -1), tags.bits, tags.extra
    chunky = tags.one(_PLANAR, 1) == 1
    reversed_bits = tags.one(_FILL_ORDER, 1) != 1
    if photometric == YCBCR:
        return bits == 8 and not extra and tags.one(_COMPRESSION, 1) != _UNCOMPRESSED
    if photometric == RGB:
        return bits in (8, 16) and len(extra) <= 1 and not reversed_bits and (chunky or (bits == 8 and not extra))
    if photometric == PALETTE:
        return bits <= 8 and not extra and (bits == 8 or not reversed_bits)
    if bits == 16:
        return photometric == BLACK_IS_ZERO and not extra and not reversed_bits
    if bits == 8 and photometric == WHITE_IS_ZERO and reversed_bits:
        return False
    return not extra or (bits == 8 and photometric == BLACK_IS_ZERO and chunky and len(extra) == 1)


def _by_pillow(data: bytes, page: int, tags: Tags) -> Samples:
    # Pillow must not apply the orientation: from 5 on, it expects a size other than the one that it then loads.
    flat = bytearray(data)
    if tags.orientation_at is not None:
        struct.pack_into(f"{tags.order}H", flat, tags.orientation_at, 1)
    plain = bytes(flat)

    def open_again() -> ImageFile.ImageFile:
        file = PillowImage.open(BytesIO(plain), formats=("TIFF",))
        file.seek(page)
        return file

    with without_stderr():
        if tags.bits == 16 and tags.one(_PHOTOMETRIC, -1) == RGB:
            return _without_extra(sixteen_bit_samples(open_again), tags)
        with open_again() as file:
            file.load()
            return opaque_samples(file)


def _tifffile_reads(tags: Tags) -> bool:
    """Return whether tifffile reads this layout correctly. Raises ImageError if it does and is not installed."""
    fits = tags.bits in (8, 16) and tags.one(_PHOTOMETRIC, -1) in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
    if not fits or tags.one(_COMPRESSION, 1) not in _BY_TIFFFILE or tags.one(_FILL_ORDER, 1) != 1:
        return False
    if find_spec("tifffile") is None:
        raise ImageError(
            f"TIFFs of this layout ({_layout(tags)}) need the package tifffile: install elic-deploy[photos]"
        )
    return True


def _by_tifffile(data: bytes, page: int, tags: Tags) -> Samples:
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        samples = file.pages[page].asarray()
    if tags.channels > 1 and tags.one(_PLANAR, 1) == 2:
        samples = np.moveaxis(samples, 0, -1)
    if samples.ndim == 2:
        samples = samples[:, :, None]
    if tags.one(_PHOTOMETRIC, -1) == WHITE_IS_ZERO:
        samples[:, :, :1] = (2**tags.bits - 1) - samples[:, :, :1]
    pixels = _without_extra(samples, tags)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _without_extra(samples: NDArray[np.integer[Any]], tags: Tags) -> Samples:
    """Return the colour channels of samples [H, W, C] as uint8. Raises ImageError if an alpha channel is not opaque."""
    eight = rounded(samples) if tags.bits == 16 else samples.astype(np.uint8)
    colours = _COLOURS[tags.one(_PHOTOMETRIC, -1)]
    for i, kind in enumerate(tags.extra[: eight.shape[2] - colours]):
        refuse_transparent(kind != 0 and (eight[:, :, colours + i] != 255).any())
    return eight[:, :, :colours]


def _layout(tags: Tags) -> str:
    """Describe the layout for messages."""
    names = {WHITE_IS_ZERO: "white is zero", BLACK_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", YCBCR: "YCbCr"}
    planar = ", planar" if tags.one(_PLANAR, 1) == 2 else ""
    extra = f", {len(tags.extra)} extra" if tags.extra else ""
    return (
        f"{tags.bits}-bit {names[tags.one(_PHOTOMETRIC, -1)]}{planar}{extra}, compression {tags.one(_COMPRESSION, 1)}"
    )
