"""Write an image file: uint8 RGB array -> bytes of a lossless format."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from elic_runtime.errors import ImageError
from elic_runtime.files import write_bytes
from elic_runtime.images.colour import to_rgb
from elic_runtime.images.embedded import XMP_TEXT
from elic_runtime.images.rasters import Raster
from elic_runtime.metadata import NO_METADATA, Metadata
from elic_runtime.pixels import Image, check_image

_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM"}

WRITABLE = tuple(_FORMATS)
"""Suffixes of the formats that are written; all of them are lossless."""

_XMP_TAG = 700
"""Where a TIFF holds XMP."""


def write_image(path: str | os.PathLike[str], image: Image, metadata: Metadata = NO_METADATA) -> None:
    """Write an image in a lossless format.

    Parameters
    ----------
    path : str or PathLike
        File to write. Its suffix, one of `WRITABLE`, selects the format.
    image : ndarray
        uint8 [H, W, 3], RGB.
    metadata : Metadata
        What to write besides, as far as the format holds it: see `encode_image`.

    Raises
    ------
    ImageError
        If the array has another type or shape, or images with this suffix are not written.
    OSError
        If the file cannot be written.

    """
    path = Path(path)
    try:
        data = encode_image(image, path.suffix, metadata)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    write_bytes(path, data)


def encode_image(image: Image, suffix: str, metadata: Metadata = NO_METADATA) -> bytes:
    """Return the bytes of an image file in a lossless format.

    Parameters
    ----------
    image : ndarray
        uint8 [H, W, 3], RGB.
    suffix : str
        Suffix of the format, one of `WRITABLE`.
    metadata : Metadata
        What to write besides the pixels. PNG and TIFF hold all of it. BMP and PPM hold nothing: colours with a profile
        are then converted to sRGB.

    Raises
    ------
    ImageError
        If the array has another type or shape, or images with this suffix are not written.

    """
    chosen = _FORMATS.get(suffix.lower())
    if chosen is None:
        raise ImageError(f"images are written without loss, as {', '.join(WRITABLE)}, not {suffix or 'without suffix'}")
    check_image(image)
    buffer = io.BytesIO()
    if metadata.icc is not None and not holds_metadata(suffix):
        image, *_ = to_rgb(Raster(image, profile=metadata.icc), keep_profile=False)
    options = _OPTIONS[chosen](metadata) if holds_metadata(suffix) else {}
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, format=chosen, **options)
    return buffer.getvalue()


def holds_metadata(suffix: str) -> bool:
    """Return whether images with a suffix hold metadata."""
    return _FORMATS.get(suffix.lower()) in _OPTIONS


def _of_png(metadata: Metadata) -> dict[str, Any]:
    text = PngInfo()
    if metadata.xmp is not None:
        text.add_itxt(XMP_TEXT, metadata.xmp.decode(errors="replace"))
    exif = {} if metadata.exif is None else {"exif": metadata.exif}
    return {"icc_profile": metadata.icc, "pnginfo": text, **exif}


def _of_tiff(metadata: Metadata) -> dict[str, Any]:
    tags = PillowImage.Exif()
    if metadata.exif is not None:
        tags.load(metadata.exif)
    if metadata.xmp is not None:
        tags[_XMP_TAG] = metadata.xmp
    return {"icc_profile": metadata.icc, "exif": tags}


_OPTIONS = {"PNG": _of_png, "TIFF": _of_tiff}
"""What Pillow is told to write besides the pixels, by the formats that hold it."""
