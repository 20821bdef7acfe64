"""Conversion to sRGB: ICC profiles are converted, and other descriptions of colours are checked."""

import re
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from elic_runtime.errors import ImageError
from elic_runtime.images.rasters import Raster, Samples

_SAME = 2
"""Largest difference of 8-bit samples between sRGB and a profile of the same colours, whose curves are rounded."""

_LATTICE = 17
"""Levels per channel of the colours on which a profile is compared with sRGB."""

_SRGB_LIKE_PRIMARIES = frozenset({1, 2})
_SRGB_LIKE_TRANSFERS = frozenset({1, 2, 6, 13})
"""Code points of ITU-T H.273 that are shown as sRGB: those of sRGB and BT.709, and `unspecified`."""

_TRANSFER_NAMES = {8: "linear light", 16: "HDR (PQ)", 18: "HDR (HLG)"}
"""Names of other transfer characteristics, for messages."""

_EXIF, _INTEROP, _COLOR_SPACE, _INTEROP_INDEX = 0x8769, 0xA005, 0xA001, 1


def to_rgb(raster: Raster, *, keep_profile: bool) -> tuple[Samples, str | None, bytes | None]:
    """Turn a raster upright, and convert it to sRGB, unless its colour profile is kept.

    Parameters
    ----------
    raster : Raster
        The image as its file stores it.
    keep_profile : bool
        Whether to leave the colours as they are if the image has a profile for RGB.

    Returns
    -------
    pixels : ndarray
        uint8 [H, W, 3].
    converted_from : str or None
        Name of the profile that the colours were converted from; None if they were not.
    profile : bytes or None
        The profile that the colours have now; None if they are sRGB.

    Raises
    ------
    ImageError
        If the profile is damaged, or is not of the same kind as the image.

    """
    pixels = _upright(raster.pixels, raster.orientation)
    if raster.profile is None:
        return _rgb(pixels), None, None
    name, of_grey, transform = _transform(raster.profile)
    if of_grey and pixels.ndim == 3:
        raise ImageError("its colour profile is for grey images: remove it, or convert the image to sRGB")
    if keep_profile and not of_grey:
        return _rgb(pixels), None, raster.profile
    if transform is None:
        return _rgb(pixels), None, None
    picture = PillowImage.fromarray(np.ascontiguousarray(pixels if of_grey else _rgb(pixels)))
    return np.asarray(_apply(picture, transform)), name, None


def check_code_points(primaries: int, transfer: int) -> None:
    """Raise ImageError if colours with these code points of ITU-T H.273 are not shown as sRGB."""
    if primaries not in _SRGB_LIKE_PRIMARIES or transfer not in _SRGB_LIKE_TRANSFERS:
        what = _TRANSFER_NAMES.get(transfer, f"primaries {primaries}, transfer {transfer} of H.273")
        raise ImageError(f"its colours are not sRGB but {what}: convert it to sRGB first")


def check_media(data: bytes) -> None:
    """Raise ImageError if the colour box (nclx) of an AVIF or HEIF file names colours that are not shown as sRGB."""
    found = re.search(rb"colrnclx(..)(..)", data, re.DOTALL)
    if found:
        check_code_points(*(int.from_bytes(value, "big") for value in found.groups()))


def check_exif(exif: PillowImage.Exif) -> None:
    """Raise ImageError if EXIF says that the colours are Adobe RGB, as cameras write it (DCF 2.0, section 4.2)."""
    nested = exif.get_ifd(_EXIF)
    # Pillow 11.1 raises KeyError for an IFD that is not there.
    index = exif.get_ifd(_INTEROP).get(_INTEROP_INDEX) if _INTEROP in nested else None
    if nested.get(_COLOR_SPACE) == 2 or str(index).startswith("R03"):
        raise ImageError("its EXIF says Adobe RGB, and no profile is embedded: convert it to sRGB first")


@lru_cache(maxsize=8)
def _transform(profile: bytes) -> tuple[str, bool, Any]:
    """Return a profile's name, whether it is for grey images, and its transform to sRGB; None if it is sRGB."""
    try:
        from PIL import ImageCms
    except ImportError:
        raise ImageError("it has a colour profile, but this Pillow was built without littleCMS") from None
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in ("RGB", "GRAY"):
            raise ImageError(f"its colour profile is for {space} images: convert it to sRGB first")
        mode = "L" if space == "GRAY" else "RGB"
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        name = " ".join(ImageCms.getProfileDescription(source).split()) or "an unnamed profile"
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"its colour profile is damaged ({reason}): remove it, or convert the image to sRGB") from None
    colours = _lattice(mode)
    converted = np.asarray(_apply(PillowImage.fromarray(colours), transform)).astype(int)
    same = np.abs(converted - _rgb(colours)).max() <= _SAME
    return name, mode == "L", None if same else transform


def _apply(picture: PillowImage.Image, transform: Any) -> PillowImage.Image:
    from PIL import ImageCms

    converted = ImageCms.applyTransform(picture, transform)
    if converted is None:
        raise ImageError("its colours cannot be converted to sRGB")
    return converted


def _lattice(mode: str) -> Samples:
    levels = np.rint(np.linspace(0, 255, _LATTICE)).astype(np.uint8)
    if mode == "L":
        return np.arange(256, dtype=np.uint8)[None]
    colours: Samples = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return colours.reshape(_LATTICE, -1, 3)


def _rgb(pixels: Samples) -> Samples:
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _upright(pixels: Samples, orientation: int) -> Samples:
    """Undo an orientation (TIFF 6.0, tag 274), which swaps rows and columns from 5 on."""
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
