"""Parts of images, and images that are made part by part."""

from dataclasses import dataclass

import numpy as np

from elic_runtime.errors import ImageError
from elic_runtime.pixels import Image


@dataclass(frozen=True)
class Region:
    """A part of an image, in pixels.

    Parameters
    ----------
    x, y : int
        Its left and its top.
    width, height : int
        Its size.

    """

    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        """Its rows in the image."""
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        """Its columns in the image."""
        return slice(self.x, self.x + self.width)

    def overlaps(self, rows: slice, columns: slice) -> bool:
        """Return whether it has a pixel in these rows and columns."""
        return _overlap(self.rows, rows) and _overlap(self.columns, columns)

    def check(self, height: int, width: int) -> None:
        """Raise ImageError unless it is a part of an image of this size, with at least one pixel."""
        if not (0 <= self.x < self.x + self.width <= width and 0 <= self.y < self.y + self.height <= height):
            raise ImageError(
                f"a region of {self.width}x{self.height} pixels at {self.x},{self.y} is not within an image of "
                f"{width}x{height}"
            )


MISSING = 128
"""The grey of pixels whose tile is missing, where a file ends early."""


class PartialImage:
    """An image, or a region of one, that is made part by part.

    Parameters
    ----------
    region : Region
        Which pixels are wanted.

    Attributes
    ----------
    region : Region
        Which pixels are wanted.
    pixels : ndarray
        uint8 [height, width, 3], of the region.
    left : int
        How many tiles are missing.

    """

    def __init__(self, region: Region) -> None:
        self.region = region
        self.pixels: Image = np.full((region.height, region.width, 3), MISSING, np.uint8)
        self.left = 0

    def paste(self, rows: slice, columns: slice, pixels: Image) -> None:
        """Write those pixels of a part that belong to the region.

        Parameters
        ----------
        rows, columns : slice
            The place of the part in the image, which it may exceed.
        pixels : ndarray
            uint8 [rows, columns, 3].

        """
        region = self.region
        top, bottom = max(rows.start, region.rows.start), min(rows.stop, region.rows.stop)
        left, right = max(columns.start, region.columns.start), min(columns.stop, region.columns.stop)
        if top < bottom and left < right:
            part = pixels[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
            self.pixels[top - region.y : bottom - region.y, left - region.x : right - region.x] = part


def _overlap(a: slice, b: slice) -> bool:
    return bool(max(a.start, b.start) < min(a.stop, b.stop))
