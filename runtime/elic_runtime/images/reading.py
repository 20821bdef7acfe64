"""Read an image file: bytes -> upright pixels, and what the file says of them.

Pillow opens every format except some layouts of TIFF. The modules for TIFF, PNG and JPEG correct it where it would
decode pixels or colours wrongly, and `colour.py` converts the result to sRGB, unless it keeps its profile.
"""

import os
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from elic_runtime.errors import ImageError
from elic_runtime.images import jpeg, png, tiff
from elic_runtime.images.colour import check_exif, check_media, to_rgb
from elic_runtime.images.embedded import read_embedded
from elic_runtime.images.formats import missing_plugin, read_formats
from elic_runtime.images.quiet import quiet
from elic_runtime.images.rasters import Raster, opaque_samples, refuse_size
from elic_runtime.metadata import NO_METADATA, Metadata
from elic_runtime.pixels import Image
from elic_runtime.shapes import MAX_PIXELS

MAX_FILE_BYTES = 1 << 31
"""Largest size of an image file: twice that of `MAX_PIXELS` in uncompressed 16-bit RGBA."""

_ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""


@dataclass(frozen=True)
class Photograph:
    """An image as the codec takes it.

    Parameters
    ----------
    pixels : ndarray
        uint8 [H, W, 3], RGB, upright.
    converted_from : str, optional
        Name of the colour profile that the colours were converted from; None if they were not converted.
    metadata : Metadata
        Its colour profile, which is None if the pixels are sRGB, its EXIF and its XMP.
    others : tuple of str
        Names of what else its file says, which is lost.

    """

    pixels: Image
    converted_from: str | None = None
    metadata: Metadata = NO_METADATA
    others: tuple[str, ...] = ()


def in_srgb(photograph: Photograph) -> Photograph:
    """Return a photograph whose colours are converted to sRGB, if it has a colour profile.

    Parameters
    ----------
    photograph : Photograph
        The photograph.

    Raises
    ------
    ImageError
        If its profile is damaged.

    """
    if photograph.metadata.icc is None:
        return photograph
    raster = Raster(photograph.pixels, profile=photograph.metadata.icc)
    pixels, converted_from, _ = to_rgb(raster, keep_profile=False)
    return replace(
        photograph, pixels=pixels, converted_from=converted_from, metadata=replace(photograph.metadata, icc=None)
    )


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a photograph as an array.

    Parameters
    ----------
    path : str or PathLike
        The image file.

    Returns
    -------
    ndarray
        uint8 [H, W, 3], RGB, sRGB, upright.

    Raises
    ------
    ImageError
        As `read_photograph` raises it.

    """
    return read_photograph(path, keep_profile=False).pixels


def read_photograph(path: str | os.PathLike[str], *, keep_profile: bool = False) -> Photograph:
    """Read a photograph.

    Grey images become RGB, 16-bit samples are rounded to 8 bits, palettes are looked up, the orientation of EXIF or
    TIFF is applied, and an opaque alpha channel is dropped.

    Parameters
    ----------
    path : str or PathLike
        The image file.
    keep_profile : bool
        Whether the pixels keep an embedded colour profile. Otherwise they are converted to sRGB, as grey images are
        always.

    Raises
    ------
    ImageError
        If the file is unreadable, too large, has several frames or is transparent; if its samples, such as CMYK or
        floating-point ones, have no single meaning in RGB; or if its colours are neither sRGB nor described by a
        profile.

    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from None
    return decode_photograph(data, str(path), keep_profile=keep_profile)


def decode_photograph(data: bytes, name: str, *, keep_profile: bool = False) -> Photograph:
    """Read a photograph from the bytes of an image file.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Name of the file for messages.
    keep_profile : bool
        As `read_photograph` takes it.

    Raises
    ------
    ImageError
        As `read_photograph` raises it.

    """
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ImageError(f"larger than {MAX_FILE_BYTES >> 30} GiB")
        with quiet():
            raster = tiff.read(data) if tiff.is_tiff(data) else _read(data)
            pixels, converted_from, profile = to_rgb(raster, keep_profile=keep_profile)
        return Photograph(pixels, converted_from, replace(raster.metadata, icc=profile), raster.others)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except PillowImage.DecompressionBombError:
        raise ImageError(f"{name}: more than the limit of {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        plugin = missing_plugin(data)
        known = f"no image of a known format ({', '.join(read_formats())})"
        raise ImageError(f"{name}: {plugin or known}") from None
    except MemoryError:
        raise ImageError(f"{name}: cannot be read as an image: the decoder has no memory for it") from None
    except Exception as error:  # decoders raise any exception for damaged files
        reason = " ".join(str(error).split()) or f"damaged ({type(error).__name__})"
        raise ImageError(f"{name}: cannot be read as an image: {reason}") from None


def _read(data: bytes) -> Raster:
    """Read any format but TIFF."""
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
        # A JPEG of several images (MPO) is a photograph, which comes first, with its previews.
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
        return Raster(pixels, orientation if orientation in range(1, 9) else 1, profile, *read_embedded(file))
