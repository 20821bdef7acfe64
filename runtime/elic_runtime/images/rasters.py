"""The images that decoders return, and their exact conversion to opaque 8-bit samples."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from elic_runtime.errors import ImageError
from elic_runtime.metadata import NO_METADATA, Metadata
from elic_runtime.shapes import MAX_PIXELS

Samples = NDArray[np.uint8]

SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")

_WITH_ALPHA = ("LA", "RGBA", "PA", "La", "RGBa")
_WITHOUT_ALPHA = ("1", "L", "P", "RGB", "YCbCr")

_KINDS = {"CMYK": "CMYK", "LAB": "CIELAB", "F": "floating-point", "I": "32-bit integer", "HSV": "HSV"}
"""Modes of Pillow that have no single meaning in RGB, and their names in messages."""


@dataclass(frozen=True, eq=False)
class Raster:
    """An image as its file stores it.

    Parameters
    ----------
    pixels : ndarray
        uint8 [H, W] or [H, W, 3], opaque.
    orientation : int
        The orientation, 1 to 8, as EXIF and TIFF number it.
    profile : bytes, optional
        The ICC profile of its colours; None if they are sRGB.
    metadata : Metadata
        Its EXIF and XMP.
    others : tuple of str
        Names of what else the file says, which is not kept.

    """

    pixels: Samples
    orientation: int = 1
    profile: bytes | None = None
    metadata: Metadata = NO_METADATA
    others: tuple[str, ...] = ()


def refuse_size(width: int, height: int) -> None:
    """Raise ImageError if an image has no pixels, or more than `MAX_PIXELS`."""
    if not width or not height or width * height > MAX_PIXELS:
        raise ImageError(f"{width}x{height} is outside the limit of {MAX_PIXELS} pixels")


def refuse_transparent(transparent: bool | np.bool_) -> None:
    """Raise ImageError if `transparent` is true."""
    if transparent:
        raise ImageError("it is transparent, which is not coded: flatten it first")


def rounded(samples: NDArray[np.integer[Any]]) -> Samples:
    """Round 16-bit samples to 8 bits; 65535 becomes 255."""
    return ((samples.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def opaque_samples(picture: PillowImage.Image, *, wide: bool = False) -> Samples:
    """Convert an image of Pillow to 8-bit samples.

    Parameters
    ----------
    picture : PIL.Image.Image
        A loaded image.
    wide : bool
        Whether samples of mode `I` have 16 bits, as they do for some formats; otherwise their range is unknown.

    Returns
    -------
    ndarray
        uint8 [H, W] or [H, W, 3].

    Raises
    ------
    ImageError
        If the image is transparent, or its mode has no single meaning in RGB.

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
    """Read all 16 bits of the samples of an RGB or RGBA image.

    Pillow returns only the high byte of such samples. Decoding the image once more with the other byte order returns
    the low byte.

    Parameters
    ----------
    open_again : callable
        Opens the file with Pillow, each time anew.

    Returns
    -------
    ndarray
        uint16 [H, W, C].

    """
    high, low = (_load(open_again(), swap=swap) for swap in (False, True))
    return np.asarray(high.astype(np.uint16) << 8 | low, np.uint16)


def _load(file: ImageFile.ImageFile, *, swap: bool) -> Samples:
    file.tile = [tile._replace(args=_raw_mode(tile.args, swap=swap)) for tile in file.tile]
    return np.asarray(file)


def _raw_mode(args: tuple[Any, ...] | str | None, *, swap: bool) -> tuple[Any, ...] | str:
    """Return a decoder's arguments with the raw mode in them, such as `RGB;16B`, in the chosen byte order."""
    if isinstance(args, tuple):
        return (_raw_mode(args[0], swap=swap), *args[1:])
    # Premultiplied samples (RGBa) need no division, since any alpha other than full is refused.
    name, order = str(args).replace("RGBa", "RGBA").split(";16")
    order = {"N": "L" if sys.byteorder == "little" else "B"}.get(order, order)
    return f"{name};16{ {'L': 'B', 'B': 'L'}[order] if swap else order }"
