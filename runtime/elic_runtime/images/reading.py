"""An image file's bytes -> pixels, checked against what the file says of itself.

Pillow opens every format; TIFF, PNG and JPEG each have a module that knows where its
answer is not to be believed. `colour.py` then takes what is left to sRGB.
"""

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageFile

from elic_runtime.errors import ImageError
from elic_runtime.images import jpeg, png, tiff
from elic_runtime.images.colour import check_exif, check_media, to_srgb
from elic_runtime.images.formats import missing_plugin, read_formats
from elic_runtime.images.quiet import quiet
from elic_runtime.images.rasters import Raster, opaque_samples, refuse_size
from elic_runtime.shapes import MAX_PIXELS
from elic_runtime.tiles import Image

MAX_FILE_BYTES = 1 << 31
"""Of an image file: `MAX_PIXELS` in 16-bit RGBA, uncompressed, twice."""

_ORIENTATION = 0x0112
"""EXIF's tag."""


@dataclass(frozen=True)
class Photograph:
    """A picture as it is coded.

    pixels: uint8 [H, W, 3], RGB, sRGB, upright.
    converted_from: the colour profile that the file's own colours were in, if it was not sRGB.
    """

    pixels: Image
    converted_from: str | None = None


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a photograph as uint8 [H, W, 3]: RGB, sRGB, upright. See `read_photograph`."""
    return read_photograph(path).pixels


def read_photograph(path: str | os.PathLike[str]) -> Photograph:
    """Read a photograph.

    Grey becomes RGB, 16-bit samples are rounded to 8, palettes are looked up, EXIF and TIFF
    orientation is applied, embedded colour profiles are converted to sRGB. Raises
    ImageError for a file that is unreadable, too large or of several frames; transparent
    (an opaque alpha channel is dropped); in CMYK, float or other samples that have no
    single meaning in RGB; in colours that are neither sRGB nor described by a profile.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from None
    return decode_photograph(data, str(path))


def decode_photograph(data: bytes, name: str) -> Photograph:
    """The photograph in an image file's bytes; `name` is what messages call it. See `read_photograph`."""
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ImageError(f"larger than {MAX_FILE_BYTES >> 30} GiB")
        with quiet():
            raster = tiff.read(data) if tiff.is_tiff(data) else _read(data)
            pixels, converted_from = to_srgb(raster)
        return Photograph(pixels, converted_from)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except PillowImage.DecompressionBombError:
        raise ImageError(f"{name}: more than the limit of {MAX_PIXELS} pixels") from None
    except PillowImage.UnidentifiedImageError:
        plugin = missing_plugin(data)
        known = f"no image of a known format ({', '.join(read_formats())})"
        raise ImageError(f"{name}: {plugin or known}") from None
    except MemoryError:
        raise ImageError(f"{name}: cannot be read as an image: the decoder has no memory for it") from None
    except Exception as error:  # decoders of damaged files raise whatever they come across
        reason = " ".join(str(error).split()) or f"damaged ({type(error).__name__})"
        raise ImageError(f"{name}: cannot be read as an image: {reason}") from None


def _read(data: bytes) -> Raster:
    """Any format but TIFF."""
    try:
        return _decode(data)
    except OSError:
        whole = jpeg.with_end(data)
        if whole is None:
            raise
        return _decode(whole)


def _decode(data: bytes) -> Raster:
    def open_again() -> ImageFile.ImageFile:
        return PillowImage.open(BytesIO(data), formats=read_formats())

    with open_again() as file:
        refuse_size(file.width, file.height)
        # A JPEG of several pictures (MPO) is a photograph with its previews: the first one is meant.
        if file.format != "MPO" and getattr(file, "n_frames", 1) > 1:
            raise ImageError("it has several frames: extract one first")
        profile, described = file.info.get("icc_profile") or None, False
        if file.format == "PNG":
            chunks = png.read_chunks(data)
            pixels = png.read_samples(chunks, open_again)
            profile, described = png.read_profile(chunks, profile)
        else:
            file.load()
            pixels = opaque_samples(file, wide=file.format == "PPM")
        if profile is None and file.format in ("AVIF", "HEIF"):
            check_media(data)
        exif = file.getexif()
        if profile is None and not described:
            check_exif(exif)
        orientation = exif.get(_ORIENTATION, 1)
        return Raster(pixels, orientation if orientation in range(1, 9) else 1, profile)
