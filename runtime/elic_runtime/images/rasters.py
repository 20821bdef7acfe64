"""What decoders hand over, and how it becomes opaque 8-bit samples without a word being lost."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from elic_runtime.errors import ImageError
from elic_runtime.shapes import MAX_PIXELS

Samples = NDArray[np.uint8]

SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

_WITH_ALPHA = ("LA", "RGBA", "PA", "La", "RGBa")
_WITHOUT_ALPHA = ("1", "L", "P", "RGB", "YCbCr")

_KINDS = {"CMYK": "CMYK", "LAB": "CIELAB", "F": "floating-point", "I": "32-bit integer", "HSV": "HSV"}
"""Modes of Pillow that have no single meaning in RGB, as messages name them."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A picture as its file holds it.

    pixels: uint8 [H, W] or [H, W, 3], opaque. orientation: 1 to 8, as EXIF and TIFF number it.
    profile: the ICC profile that its colours are in; sRGB if None.
    """

    pixels: Samples
    orientation: int = 1
    profile: bytes | None = None


def refuse_size(width: int, height: int) -> None:
    """Raises ImageError for more pixels than are coded, or none."""
    if not width or not height or width * height > MAX_PIXELS:
        raise ImageError(f"{width}x{height} is outside the limit of {MAX_PIXELS} pixels")


def refuse_transparent(transparent: bool | np.bool_) -> None:
    """Raises ImageError if a pixel is not opaque."""
    if transparent:
        raise ImageError("it is transparent, which is not coded: flatten it first")


def rounded(samples: NDArray[np.integer]) -> Samples:
    """16-bit samples as the nearest 8-bit ones: 65535 is 255."""
    return ((samples.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def opaque_samples(picture: PillowImage.Image, *, wide: bool = False) -> Samples:
    """A loaded picture of Pillow's as uint8 [H, W] or [H, W, 3].

    wide: whether mode `I` holds 16-bit samples, as Pillow has it for some formats; elsewhere
    their range is unknown. Raises ImageError if it is transparent, or of a mode without one meaning.
    """
    mode = picture.mode
    if mode in SIXTEEN_BIT or (mode == "I" and wide):
        return rounded(np.asarray(picture))
    if mode not in _WITH_ALPHA + _WITHOUT_ALPHA:
        raise ImageError(f"{_KINDS.get(mode, mode)} samples are not coded: convert it to 8- or 16-bit RGB first")
    if mode in ("La", "RGBa"):
        picture = picture.convert(mode.upper())
    if mode in _WITH_ALPHA or picture.has_transparency_data:
        refuse_transparent((np.asarray(picture.convert("RGBA"))[:, :, -1] != 255).any())
    return np.asarray(picture.convert("L" if mode in ("1", "L", "LA", "La") else "RGB"))


def sixteen_bit_samples(open_again: Callable[[], ImageFile.ImageFile]) -> NDArray[np.uint16]:
    """All 16 bits of a picture in RGB or RGBA, of which Pillow gives the high bytes: uint16 [H, W, C].

    Asked for the other byte order it gives the low ones.
    """
    high, low = (_load(open_again(), swap=swap) for swap in (False, True))
    return np.asarray(high.astype(np.uint16) << 8 | low, np.uint16)


def _load(file: ImageFile.ImageFile, *, swap: bool) -> Samples:
    file.tile = [tile._replace(args=_raw_mode(tile.args, swap=swap)) for tile in file.tile]
    return np.asarray(file)


def _raw_mode(args: tuple[Any, ...] | str | None, *, swap: bool) -> tuple[Any, ...] | str:
    """A decoder's arguments, the first of which or the only one is a mode like `RGB;16B`."""
    if isinstance(args, tuple):
        return (_raw_mode(args[0], swap=swap), *args[1:])
    # Alpha that is not 255 everywhere is refused: what was multiplied by it need not be divided.
    name, order = str(args).replace("RGBa", "RGBA").split(";16")
    order = {"N": "L" if sys.byteorder == "little" else "B"}.get(order, order)
    return f"{name};16{ {'L': 'B', 'B': 'L'}[order] if swap else order }"
