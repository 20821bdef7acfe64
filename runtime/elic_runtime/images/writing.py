"""Write an image file: uint8 RGB array -> bytes of a lossless format."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from elic_runtime.errors import ImageError
from elic_runtime.files import write_bytes
from elic_runtime.pixels import Image, check_image

_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM"}

WRITABLE = tuple(_FORMATS)
"""Suffixes of the formats that are written; all of them are lossless."""


def write_image(path: str | os.PathLike[str], image: Image) -> None:
    """Write an image in a lossless format.

    Parameters
    ----------
    path : str or PathLike
        File to write. Its suffix, one of `WRITABLE`, selects the format.
    image : ndarray
        uint8 [H, W, 3], RGB.

    Raises
    ------
    ImageError
        If the array has another type or shape, or images with this suffix are not written.
    OSError
        If the file cannot be written.

    """
    path = Path(path)
    try:
        data = encode_image(image, path.suffix)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    write_bytes(path, data)


def encode_image(image: Image, suffix: str) -> bytes:
    """Return the bytes of an image file in a lossless format.

    Parameters
    ----------
    image : ndarray
        uint8 [H, W, 3], RGB.
    suffix : str
        Suffix of the format, one of `WRITABLE`.

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
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, format=chosen)
    return buffer.getvalue()
