"""uint8 RGB arrays -> image files, without loss."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from elic_runtime.errors import ImageError
from elic_runtime.files import write_bytes
from elic_runtime.pixels import check_image
from elic_runtime.tiles import Image

_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM"}

WRITABLE = tuple(_FORMATS)
"""Endings of the formats that are written, all of them lossless."""


def write_image(path: str | os.PathLike[str], image: Image) -> None:
    """Write an image, uint8 [H, W, 3], as the lossless format that the name ends in.

    Raises ImageError for another array or another ending than those of `WRITABLE`; OSError.
    """
    path = Path(path)
    try:
        data = encode_image(image, path.suffix)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    write_bytes(path, data)


def encode_image(image: Image, suffix: str) -> bytes:
    """The bytes of an image file, lossless, of the format with this ending. Raises ImageError."""
    chosen = _FORMATS.get(suffix.lower())
    if chosen is None:
        raise ImageError(f"images are written without loss, as {', '.join(WRITABLE)}, not {suffix or 'without ending'}")
    check_image(image)
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, format=chosen)
    return buffer.getvalue()
