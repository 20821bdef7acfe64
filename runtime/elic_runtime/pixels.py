"""Conversion between pixels, uint8 [H, W, 3], and the tensors x and x_hat."""

import numpy as np
from numpy.typing import NDArray

from elic_runtime.errors import ImageError
from elic_runtime.shapes import MAX_PIXELS

Image = NDArray[np.uint8]


def check_image(image: object, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageError unless `image` is a uint8 array [H, W, 3] that has pixels, and not more than `max_pixels`."""
    if not isinstance(image, np.ndarray):
        hint = ": elic_runtime.images.read_image reads a file" if isinstance(image, str | bytes) else ""
        raise ImageError(f"an image is a uint8 array [H, W, 3], not {type(image).__name__}{hint}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"an image is a uint8 array [H, W, 3], not {image.dtype} {list(image.shape)}")
    height, width = image.shape[:2]
    if not height or not width or height * width > max_pixels:
        raise ImageError(f"an image of {width}x{height} is outside the limit of {max_pixels} pixels")


def to_input(tile: Image) -> NDArray[np.float32]:
    """Convert uint8 [H, W, 3] to x: float32 [1, 3, H, W], from 0 to 1."""
    x = np.ascontiguousarray(tile.transpose(2, 0, 1)[None], dtype=np.float32)
    return np.divide(x, np.float32(255), out=x)


def to_image(x_hat: NDArray[np.float32]) -> Image:
    """Clip and round x_hat, float32 [3, H, W], to uint8 [H, W, 3]."""
    scaled: NDArray[np.float32] = x_hat * np.float32(255)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8).transpose(1, 2, 0)
