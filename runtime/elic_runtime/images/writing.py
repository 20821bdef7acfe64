"""Write an image file: uint8 RGB array -> bytes of a lossless format."""

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from elic_runtime.errors import ImageError
from elic_runtime.files import write_bytes
from elic_runtime.images.colour import to_rgb
from elic_runtime.images.embedded import XMP_TEXT
from elic_runtime.images.quiet import quiet
from elic_runtime.images.rasters import Raster
from elic_runtime.metadata import NO_METADATA, Metadata
from elic_runtime.pixels import Image, check_image

_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM"}

WRITABLE = tuple(_FORMATS)
"""Suffixes of the formats that are written; all of them are lossless."""

_XMP_TAG = 700
"""Where a TIFF holds XMP."""

_DESCRIBING = (270, 271, 272, 305, 306, 315, 33432)
"""Tags of EXIF: description, maker and model of the camera, software, date, artist, copyright (TIFF 6.0)."""

_DIRECTORIES = (0x8769, 0x8825)
"""Directories of EXIF that tags point to: the exposure's, and the place's."""


def write_image(path: str | os.PathLike[str], image: Image, metadata: Metadata = NO_METADATA) -> None:
    """Write an image in a lossless format.

    Parameters
    ----------
    path : str or PathLike
        File to write. Its suffix, one of `WRITABLE`, selects the format.
    image : ndarray
        uint8 [H, W, 3], RGB.
    metadata : Metadata
        What to write besides, as far as the format holds it: see `encode_picture`.

    Raises
    ------
    ImageError
        If the array has another type or shape, or images with this suffix are not written.
    OSError
        If the file cannot be written.

    """
    path = Path(path)
    try:
        data = encode_picture(image, path.suffix, metadata).data
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
    return encode_picture(image, suffix, NO_METADATA).data


@dataclass(frozen=True)
class Encoded:
    """An image file.

    Parameters
    ----------
    data : bytes
        The file.
    converted_from : str, optional
        Name of the colour profile that the colours were converted from, since the format holds none.
    dropped : tuple of str
        Names of the metadata that it does not hold.

    """

    data: bytes
    converted_from: str | None = None
    dropped: tuple[str, ...] = ()


def encode_picture(image: Image, suffix: str, metadata: Metadata) -> Encoded:
    """Return an image file with metadata, as far as its format holds them.

    PNG holds all. TIFF holds them too, of EXIF what describes the photograph, and not how its own file stores pixels.
    BMP and PPM hold nothing: colours with a profile are then converted to sRGB.

    Parameters
    ----------
    image, suffix
        As `encode_image` takes them.
    metadata : Metadata
        What to write besides the pixels.

    Raises
    ------
    ImageError
        As `encode_image` raises it, or if a profile that must be converted is damaged.

    """
    chosen = _FORMATS.get(suffix.lower())
    if chosen is None:
        raise ImageError(f"images are written without loss, as {', '.join(WRITABLE)}, not {suffix or 'without suffix'}")
    check_image(image)
    converted_from, held = None, NO_METADATA
    options: dict[str, Any] = {}
    if chosen in _OPTIONS:
        options, held = _OPTIONS[chosen](metadata)
    elif metadata.icc is not None:
        image, converted_from, _ = to_rgb(Raster(image, profile=metadata.icc), keep_profile=False)
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, format=chosen, **options)
    lost = [name.upper() for name, _ in metadata.items() if getattr(held, name) is None]
    if chosen not in _OPTIONS and "ICC" in lost:
        lost.remove("ICC")  # the colours are those of sRGB now
    return Encoded(buffer.getvalue(), converted_from, tuple(lost))


def _of_png(metadata: Metadata) -> tuple[dict[str, Any], Metadata]:
    text = PngInfo()
    if metadata.xmp is not None:
        text.add_itxt(XMP_TEXT, metadata.xmp.decode(errors="replace"))
    exif = {} if metadata.exif is None else {"exif": metadata.exif}
    return {"icc_profile": metadata.icc, "pnginfo": text, **exif}, metadata


def _of_tiff(metadata: Metadata) -> tuple[dict[str, Any], Metadata]:
    tags = PillowImage.Exif()
    if metadata.exif is not None:
        try:
            tags = _describing(metadata.exif)
        except Exception:  # Pillow raises any exception for damaged EXIF
            metadata = replace(metadata, exif=None)
    if metadata.xmp is not None:
        tags[_XMP_TAG] = metadata.xmp
    return {"icc_profile": metadata.icc, "exif": tags.tobytes()}, metadata


def _describing(exif: bytes) -> PillowImage.Exif:
    """Return those tags of EXIF that describe a photograph, and not how a file stores its pixels."""
    found, kept = PillowImage.Exif(), PillowImage.Exif()
    with quiet():
        found.load(exif)
        for tag in _DESCRIBING:
            if tag in found:
                kept[tag] = found[tag]
        for directory in _DIRECTORIES:
            kept.get_ifd(directory).update(found.get_ifd(directory))
        kept.tobytes()
    return kept


_OPTIONS = {"PNG": _of_png, "TIFF": _of_tiff}
"""Returns what Pillow is told to write besides the pixels, and which metadata that is, by format."""
