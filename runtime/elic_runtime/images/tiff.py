"""TIFF (6.0, and BigTIFF): which reader is right about a file, by the file's own tags.

Pillow reads most layouts rightly, some wrongly without a word, and others not at all;
tifffile reads these where it is installed. Layouts that neither is known to read are refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from elic_runtime.errors import ImageError
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

_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _ORIENTATION, _CHANNELS, _STRIP_BYTES, _PLANAR = 266, 273, 274, 277, 279, 284
_TILES, _TILE_BYTES, _EXTRA, _FORMAT, _PROFILE = 324, 325, 338, 339, 34675

_PARTS = ((_STRIPS, _TILES), (_STRIP_BYTES, _TILE_BYTES))
"""Where the parts of the pixels begin, and how long they are: of files in strips, and in tiles."""

_READ = frozenset(
    {
        *(_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIPS, _ORIENTATION),
        *(_CHANNELS, _STRIP_BYTES, _PLANAR, _TILES, _TILE_BYTES, _EXTRA, _FORMAT, _PROFILE),
    }
)

_TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 18: "u8"}
"""Of tags that hold integers: numpy's names, without byte order."""

_MAX_PAGES = 4096

_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType: a smaller version of another page, a mask for one."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
_KINDS = {4: "a mask", 5: "CMYK", 8: "CIELAB", 9: "CIELAB", 10: "CIELAB", 32803: "raw sensor data", 34892: "raw data"}
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, YCBCR: 3}
"""Photometric interpretations that are coded, and their channels."""

_UNSIGNED, _UNDEFINED = 1, 4
_FORMATS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
"""Sample formats: those that are coded, and the names of others."""

_UNCOMPRESSED = 1
_BY_TIFFFILE = frozenset({1, 8, 32946})
"""Compressions that tifffile reads by itself: none, and two numbers of Deflate."""


@dataclass
class Tags:
    """An image file directory. values: integers by tag. orientation_at: where the file holds that one, if it does."""

    order: str
    values: dict[int, tuple[int, ...]] = field(default_factory=dict)
    profile: bytes | None = None
    orientation_at: int | None = None

    def one(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.values.get(tag, (default,))[0]

    @property
    def channels(self) -> int:
        """Samples of a pixel, extra ones included."""
        return self.one(_CHANNELS, 1)

    @property
    def bits(self) -> int:
        """Of a sample. Raises ImageError if they differ from channel to channel."""
        bits = set(self.values.get(_BITS, (1,))[: self.channels])
        if len(bits) != 1:
            raise ImageError(f"its channels have {', '.join(map(str, sorted(bits)))} bits, which is not coded")
        return bits.pop()

    @property
    def extra(self) -> tuple[int, ...]:
        """What each channel beyond the colour's is: 0 nothing that is known, 1 and 2 alpha."""
        count = self.channels - _COLOURS[self.one(_PHOTOMETRIC, -1)]
        given = self.values.get(_EXTRA, ())
        # Four channels of RGB without a word about the last: alpha, as all viewers take it.
        return given if given or count != 1 else (2,)


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as a TIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(data: bytes) -> Raster:
    """The one full-size picture of a file. Raises ImageError, and what readers raise of damaged files."""
    page, tags = _only_page(data)
    _check(tags, len(data))
    if _pillow_reads(tags):
        pixels = _by_pillow(data, page, tags)
    elif _tifffile_reads(tags):
        pixels = _by_tifffile(data, page, tags)
    else:
        raise ImageError(f"a TIFF of this layout ({_layout(tags)}) is not read: save it again uncompressed or as PNG")
    if pixels.shape[:2] != (tags.one(_LENGTH, 0), tags.one(_WIDTH, 0)):
        raise ImageError("its reader gives another size than its tags have")
    return Raster(pixels, tags.one(_ORIENTATION, 1), tags.profile)


def _only_page(data: bytes) -> tuple[int, Tags]:
    """The page that is no smaller version of another one and no mask, and its number."""
    pages = list(enumerate(_pages(data)))
    if any(tags.one(_SUBFILE, 0) & _MASK or tags.one(_PHOTOMETRIC, -1) == _MASK for _, tags in pages):
        raise ImageError("a page of it is a transparency mask, which is not coded: flatten it first")
    full = [(page, tags) for page, tags in pages if not tags.one(_SUBFILE, 0) & _REDUCED]
    if len(full) != 1:
        raise ImageError("it has several frames: extract one first" if full else "it holds no full-size picture")
    return full[0]


def _pages(data: bytes) -> Iterator[Tags]:
    """The directories of a file, in order."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count_of, entry, value_of = ("Q", 20, "Q") if big else ("H", 12, "I")
    (at,) = struct.unpack_from(f"{order}{value_of}", data, 8 if big else 4)
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) >= _MAX_PAGES:
            raise ImageError("its directories lead in a circle, or are too many")
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
    if tag not in _READ or kind not in _TYPES or not count:
        return
    dtype = np.dtype(tags.order + _TYPES[kind])
    at += 4 + struct.calcsize(value_of)
    if tag == _ORIENTATION:
        tags.orientation_at = at
    if count * dtype.itemsize > struct.calcsize(value_of):
        (at,) = struct.unpack_from(f"{tags.order}{value_of}", data, at)
    values = np.frombuffer(data, dtype, count, at)  # raises ValueError beyond the file
    if tag == _PROFILE:
        tags.profile = values.tobytes()
    else:
        tags.values.setdefault(tag, tuple(values.tolist()))


def _check(tags: Tags, size: int) -> None:
    """Raises ImageError for what has no single meaning in RGB, and for pixels that are not in the file."""
    refuse_size(tags.one(_WIDTH, 0), tags.one(_LENGTH, 0))
    photometric = tags.one(_PHOTOMETRIC, -1)
    if photometric not in _COLOURS:
        what = _KINDS.get(photometric)
        raise ImageError(
            f"{what} samples are not coded: convert it to 8- or 16-bit RGB first"
            if what
            else "it does not say what its samples mean (PhotometricInterpretation), or nothing that is known"
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
        tags.values[_ORIENTATION] = (1,)  # libtiff and viewers take it so
    starts, lengths = (tags.values.get(strips) or tags.values.get(tiles, ()) for strips, tiles in _PARTS)
    if not starts or len(starts) != len(lengths) or any(a + n > size for a, n in zip(starts, lengths, strict=True)):
        raise ImageError("it is truncated, or its pixels are not where its tags say")
    if tags.one(_COMPRESSION, 1) == _UNCOMPRESSED and sum(lengths) < _least_bytes(tags):
        raise ImageError("it is truncated: its pixels are fewer than its tags say")


def _least_bytes(tags: Tags) -> int:
    """Of uncompressed pixels; YCbCr's may be subsampled, and tiles are larger."""
    if tags.one(_PHOTOMETRIC, -1) == YCBCR:
        return 0
    separate = tags.one(_PLANAR, 1) == 2
    row = -(-tags.one(_WIDTH, 0) * tags.bits * (1 if separate else tags.channels) // 8)
    return row * tags.one(_LENGTH, 0) * (tags.channels if separate else 1)


def _pillow_reads(tags: Tags) -> bool:
    """Layouts that Pillow reads rightly: seen in the tests, all combinations of what is stated here."""
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
    # Upright or not is not left to Pillow: from orientation 5 on it maps files of another size than it then loads.
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
    """Layouts that tifffile reads rightly: what Pillow does not, of whole bytes."""
    fits = tags.bits in (8, 16) and tags.one(_PHOTOMETRIC, -1) in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
    if not fits or tags.one(_COMPRESSION, 1) not in _BY_TIFFFILE or tags.one(_FILL_ORDER, 1) != 1:
        return False
    if find_spec("tifffile") is None:
        raise ImageError(
            f"a TIFF of this layout ({_layout(tags)}) needs the package tifffile: install elic-deploy[photos]"
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


def _without_extra(samples: NDArray[np.integer], tags: Tags) -> Samples:
    """Samples [H, W, C] as uint8 of the colour's channels. Raises ImageError if one of the others is alpha below 1."""
    eight = rounded(samples) if tags.bits == 16 else samples.astype(np.uint8)
    colours = _COLOURS[tags.one(_PHOTOMETRIC, -1)]
    for i, kind in enumerate(tags.extra[: eight.shape[2] - colours]):
        refuse_transparent(kind != 0 and (eight[:, :, colours + i] != 255).any())
    return eight[:, :, :colours]


def _layout(tags: Tags) -> str:
    """As messages name it."""
    names = {WHITE_IS_ZERO: "white is zero", BLACK_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", YCBCR: "YCbCr"}
    planar = ", planar" if tags.one(_PLANAR, 1) == 2 else ""
    extra = f", {len(tags.extra)} extra" if tags.extra else ""
    return (
        f"{tags.bits}-bit {names[tags.one(_PHOTOMETRIC, -1)]}{planar}{extra}, compression {tags.one(_COMPRESSION, 1)}"
    )
