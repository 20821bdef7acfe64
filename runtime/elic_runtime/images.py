"""Image files <-> uint8 RGB arrays."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from elic_runtime.container import SUFFIX
from elic_runtime.errors import ImageError
from elic_runtime.files import partial_path
from elic_runtime.tiles import Image

READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
WRITABLE = (".png", ".bmp", ".tif", ".tiff", ".ppm")

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_EIGHT_BIT = ("1", "L", "P", "RGB", "YCbCr", "LA", "RGBA", "PA")


def read_image(path: Path) -> Image:
    """Read a photograph as uint8 [H, W, 3], RGB, upright.

    Grey becomes RGB, 16 bit is rounded to 8, palettes are looked up, EXIF orientation
    is applied. Raises ImageError: unreadable; transparent (an opaque alpha channel is
    dropped); CMYK, float and other modes that have no single meaning in RGB.
    """
    try:
        with PillowImage.open(path) as file:
            file.load()
            picture = ImageOps.exif_transpose(file)
            return _to_rgb(picture, path)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        kind = "no image" if isinstance(error, PillowImage.UnidentifiedImageError) else "a damaged image"
        raise ImageError(f"{path}: {kind} that can be read ({_first_line(error)})") from None


def _to_rgb(picture: PillowImage.Image, path: Path) -> Image:
    if picture.mode in _SIXTEEN_BIT:
        samples = np.asarray(picture).astype(np.int64)
        if samples.min() < 0 or samples.max() > 65535:
            raise ImageError(f"{path}: its samples are outside of 16 bit")
        grey = ((samples * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode not in _EIGHT_BIT:
        raise ImageError(f"{path}: {picture.mode} pixels are not coded: convert it to RGB first")
    if picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA"))[:, :, 3]
        if (alpha < 255).any():
            raise ImageError(f"{path}: it is transparent, which is not coded: flatten it first")
    return np.asarray(picture.convert("RGB"))


def write_image(path: Path, image: Image) -> None:
    """Write uint8 [H, W, 3] as the lossless format that the name's ending says. Raises ImageError, OSError."""
    if path.suffix.lower() not in WRITABLE:
        raise ImageError(f"{path}: an output image ends in {', '.join(WRITABLE)}")
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
