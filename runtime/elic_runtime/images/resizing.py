"""Resize pictures as model zoos do before they measure: both sides, bilinear with antialiasing."""

import re

import numpy as np
from PIL import Image as PillowImage

from elic_runtime.errors import ElicError
from elic_runtime.images.rasters import refuse_size
from elic_runtime.pixels import Image, check_image

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def parse_size(text: str) -> tuple[int, int]:
    """Read a size as commands take it.

    Parameters
    ----------
    text : str
        Height and width in pixels, such as `512x768`.

    Returns
    -------
    tuple of int
        Height and width in pixels.

    Raises
    ------
    ElicError
        If it is no size.
    ImageError
        If an image of that size is larger than the limit.

    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ElicError(f"{text!r} is no size: expected HEIGHTxWIDTH in pixels, such as 512x768")
    height, width = int(found[1]), int(found[2])
    refuse_size(width, height)
    return height, width


def resize(image: Image, height: int, width: int) -> Image:
    """Resize a picture; its sides are stretched by different factors if need be.

    The result equals that of torchvision's `Resize((height, width))` of a PIL image, since both are Pillow's bilinear
    filter, which widens with the factor and so averages over all pixels.

    Parameters
    ----------
    image : ndarray
        uint8 [H, W, 3].
    height, width : int
        New size in pixels.

    Returns
    -------
    ndarray
        uint8 [height, width, 3].

    Raises
    ------
    ImageError
        If the array has another type or shape, or the new size is larger than the limit.

    Examples
    --------
    >>> resize(image, 512, 512).shape
    (512, 512, 3)

    """
    check_image(image)
    refuse_size(width, height)
    resized = PillowImage.fromarray(image).resize((width, height), PillowImage.Resampling.BILINEAR)
    return np.array(resized)
