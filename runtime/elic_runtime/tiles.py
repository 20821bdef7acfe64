"""Cutting an image into tiles that a bundle takes, and joining them.

An image that the bundle takes whole is one tile. Tiles at the right and at the bottom are padded by repeating the last
column and row, which costs few bits and creates no edges.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from elic_runtime.shapes import DOWNSAMPLING, Extent

Image = NDArray[np.uint8]

_T = TypeVar("_T")


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
            missing = self.tile_height - tile.shape[0], self.tile_width - tile.shape[1]
            yield np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else tile

    def join(self, tiles: Iterable[Image]) -> Image:
        """Join tiles to the image, uint8 [height, width, 3]."""
        image = PartialImage(self)
        for _, tile in zip(range(self.tiles), tiles, strict=True):
            image.paste(tile)
        return image.pixels


class PartialImage:
    """An image that is joined tile by tile.

    Parameters
    ----------
    grid : TileGrid
        The sizes of the image and of its tiles.

    Attributes
    ----------
    pixels : ndarray
        uint8 [height, width, 3].
    left : int
        How many tiles are missing.

    """

    def __init__(self, grid: TileGrid) -> None:
        self.pixels: Image = np.empty((grid.height, grid.width, 3), np.uint8)
        self.left = grid.tiles
        self._places = iter(grid)

    def paste(self, tile: Image) -> None:
        """Write the next tile, [tile_height, tile_width, 3], to its place."""
        rows, columns = next(self._places)
        self.pixels[rows, columns] = tile[: rows.stop - rows.start, : columns.stop - columns.start]
        self.left -= 1


def groups(items: Iterable[_T], size: int, kind: Callable[[_T], object] = lambda _: None) -> Iterator[list[_T]]:
    """Group items in their order.

    Parameters
    ----------
    items : iterable
        What to group.
    size : int
        Largest number of items in a group.
    kind : callable
        Items of one group have an equal `kind(item)`.

    """
    for _, alike in groupby(items, kind):
        while group := list(islice(alike, size)):
            yield group


def fill(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Repeat the last item of an array [n, ...] until there are at least `size` items, as many as a graph needs."""
    missing = size - len(values)
    return np.concatenate([values, *[values[-1:]] * missing]) if missing else values


def _tile(size: int, smallest: int, largest: int) -> int:
    """Return the height or width, a multiple of 64, of the tiles that cover `size` pixels."""
    tiles = -(-size // largest)
    even = -(-size // tiles)
    return max(smallest, -(-even // DOWNSAMPLING) * DOWNSAMPLING)
