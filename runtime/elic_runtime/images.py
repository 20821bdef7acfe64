"""Image files <-> uint8 RGB arrays."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from elic_runtime.container import MAX_PIXELS, SUFFIX
from elic_runtime.errors import ImageError
from elic_runtime.files import partial_path
from elic_runtime.tiles import Image

READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
WRITABLE = (".png", ".bmp", ".tif", ".tiff", ".ppm")

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
_EIGHT_BIT = ("1", "L", "P", "RGB", "YCbCr", "LA", "RGBA", "PA")


def read_image(path: Path) -> Image:
    """Read a photograph as uint8 [H, W, 3], RGB, upright.

    Grey becomes RGB, 16-bit grey is rounded to 8, palettes are looked up, EXIF
    orientation is applied; of 16-bit RGB, Pillow reads the high bytes; colour profiles
    are not applied. Raises ImageError: unreadable, too large, of several frames;
    transparent (an opaque alpha channel is dropped); CMYK, float and other modes that
    have no single meaning in RGB.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)  # MAX_PIXELS is the limit
            with PillowImage.open(path, formats=_FORMATS) as file:
                _check_header(file, path)
                file.load()
                return _to_rgb(ImageOps.exif_transpose(file), path, file.format)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except PillowImage.UnidentifiedImageError:
        raise ImageError(f"{path}: no image of a known format ({', '.join(_FORMATS)})") from None
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from None
    except Exception as error:  # decoders of damaged files raise whatever they come across
        raise ImageError(f"{path}: cannot be read as an image: {' '.join(str(error).split())}") from None


def _check_header(file: PillowImage.Image, path: Path) -> None:
    if file.width * file.height > MAX_PIXELS:
        raise ImageError(f"{path}: {file.width}x{file.height} is outside the limit of {MAX_PIXELS} pixels")
    # A JPEG of several pictures (MPO) is a photograph with its previews: the first one is meant.
    if file.format != "MPO" and getattr(file, "n_frames", 1) > 1:
        raise ImageError(f"{path}: it has several frames: extract one first")


def _to_rgb(picture: PillowImage.Image, path: Path, file_format: str | None) -> Image:
    if picture.has_transparency_data:
        # What a 16-bit grey's transparent level covers, Pillow cannot say.
        opaque = picture.mode not in _SIXTEEN_BIT and (np.asarray(picture.convert("RGBA"))[:, :, 3] == 255).all()
        if not opaque:
            raise ImageError(f"{path}: it is transparent, which is not coded: flatten it first")
    # Pillow calls some 16-bit formats "I"; elsewhere those are 32 bit of unknown range.
    if picture.mode in _SIXTEEN_BIT or (picture.mode == "I" and file_format in ("PNG", "PPM")):
        samples = np.asarray(picture).astype(np.int64)
        grey = ((samples * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode not in _EIGHT_BIT:
        raise ImageError(f"{path}: {picture.mode} pixels are not coded: convert it to RGB first")
    return np.asarray(picture.convert("RGB"))


def write_image(path: Path, image: Image) -> None:
    """Write uint8 [H, W, 3] as the lossless format of `WRITABLE` that the name ends in. Raises OSError."""
    with partial_path(path) as partial, partial.open("wb") as file:
        PillowImage.fromarray(image).save(file, format=PillowImage.registered_extensions()[path.suffix.lower()])


def image_files(path: Path) -> list[Path]:
    """The file itself, or the images of a folder in order. Raises ImageError if there is none."""
    return _files(path, READABLE, "images")


def container_files(path: Path) -> list[Path]:
    """The file itself, or the `.elic` files of a folder in order. Raises ImageError if there is none."""
    return _files(path, (SUFFIX,), f"{SUFFIX} files")


def _files(path: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
    if not found:
        raise ImageError(f"{path}: no {what} in this folder")
    return found
