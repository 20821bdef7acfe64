"""Cutting an image into tiles, each of which is coded on its own.

By default an image is one tile, whatever its size. Tiles at the right and at the bottom are padded by repeating the
last column and row, which costs few bits and creates no edges.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from elic_runtime.pixels import Image
from elic_runtime.regions import PartialImage, Region
from elic_runtime.shapes import DOWNSAMPLING, Extent


@dataclass(frozen=True)
class TileGrid:
    """The sizes of an image and of its tiles.

    Iterating over a grid yields the place of each tile in the image as (rows, columns), two slices that end at the
    image's borders. Tiles are ordered row by row from the top left.

    Parameters
    ----------
    height, width : int
        Size of the image in pixels.
    tile_height, tile_width : int
        Size of each tile in pixels.

    """

    height: int
    width: int
    tile_height: int
    tile_width: int

    @classmethod
    def within(cls, height: int, width: int, extent: Extent) -> "TileGrid":
        """Return the grid of the fewest tiles that a bundle takes, with as little padding as possible.

        Parameters
        ----------
        height, width : int
            Size of the image in pixels.
        extent : Extent
            The shapes that the bundle takes.

        """
        tile_height = _tile(height, extent.min.height, extent.max.height)
        return cls(height, width, tile_height, _tile(width, extent.min.width, extent.max.width))

    @classmethod
    def whole(cls, height: int, width: int, extent: Extent) -> "TileGrid":
        """Return the grid of one tile.

        Parameters
        ----------
        height, width : int
            Size of the image in pixels.
        extent : Extent
            The shapes that the bundle takes, of which the smallest is the smallest tile.

        """
        low = extent.min
        return cls(height, width, max(low.height, _up(height)), max(low.width, _up(width)))

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of each tile in pixels."""
        return self.tile_height, self.tile_width

    @property
    def rows(self) -> int:
        """Number of tiles from top to bottom."""
        return -(-self.height // self.tile_height)

    @property
    def columns(self) -> int:
        """Number of tiles from left to right."""
        return -(-self.width // self.tile_width)

    @property
    def tiles(self) -> int:
        """Number of all tiles."""
        return self.rows * self.columns

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Yield the place of each tile in the image."""
        for top in range(0, self.height, self.tile_height):
            for left in range(0, self.width, self.tile_width):
                yield (
                    slice(top, min(top + self.tile_height, self.height)),
                    slice(left, min(left + self.tile_width, self.width)),
                )

    def cut(self, image: Image) -> Iterator[Image]:
        """Yield the padded tiles, [tile_height, tile_width, 3] each, of an image, uint8 [height, width, 3]."""
        for rows, columns in self:
            tile = image[rows, columns]
            yield padded(tile, slice(0, self.tile_height), slice(0, self.tile_width))

    def join(self, tiles: Iterable[Image]) -> Image:
        """Join tiles to the image, uint8 [height, width, 3]."""
        picture = PartialImage(Region(0, 0, self.width, self.height))
        for (rows, columns), tile in zip(self, tiles, strict=True):
            picture.paste(rows, columns, tile)
        return picture.pixels


def padded(image: Image, rows: slice, columns: slice) -> Image:
    """Return a part of an image that goes on beyond its bottom and its right by repeating the last row and column.

    Parameters
    ----------
    image : ndarray
        uint8 [H, W, 3].
    rows, columns : slice
        The part to return, which may lie beyond the image.

    """
    height, width = image.shape[:2]
    part = image[min(rows.start, height - 1) : rows.stop, min(columns.start, width - 1) : columns.stop]
    missing = rows.stop - rows.start - part.shape[0], columns.stop - columns.start - part.shape[1]
    return np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else part


def alike(grid: TileGrid, extent: Extent) -> object:
    """Return what tiles that are run in one batch have in common. One that is larger than a window is run alone."""
    height, width = grid.tile
    return grid.tile if height <= extent.max.height and width <= extent.max.width else object()


def _tile(size: int, smallest: int, largest: int) -> int:
    """Return the height or width, a multiple of 64, of the tiles that cover `size` pixels."""
    tiles = -(-size // largest)
    even = -(-size // tiles)
    return max(smallest, _up(even))


def _up(size: int) -> int:
    return -(-size // DOWNSAMPLING) * DOWNSAMPLING
