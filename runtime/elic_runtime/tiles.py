"""An image as a grid of tiles that a bundle takes, padded where it ends.

Images that the bundle takes whole are one tile, padded to a multiple of 64. Padding
repeats the last row and column: it costs few bits and makes no edge.
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
    """Sizes in pixels. Tiles lie row by row from the top left; the last ones are padded."""

    height: int
    width: int
    tile_height: int
    tile_width: int

    @classmethod
    def within(cls, height: int, width: int, extent: Extent) -> "TileGrid":
        """The fewest tiles that a bundle takes, all of one size, padded as little as can be."""
        tile_height = _tile(height, extent.min.height, extent.max.height)
        return cls(height, width, tile_height, _tile(width, extent.min.width, extent.max.width))

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.height // self.tile_height)

    @property
    def columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.width // self.tile_width)

    @property
    def tiles(self) -> int:
        """Tiles in all."""
        return self.rows * self.columns

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Where each tile lies in the image: (rows, columns), clipped to it."""
        for top in range(0, self.height, self.tile_height):
            for left in range(0, self.width, self.tile_width):
                yield (
                    slice(top, min(top + self.tile_height, self.height)),
                    slice(left, min(left + self.tile_width, self.width)),
                )

    def cut(self, image: Image) -> Iterator[Image]:
        """The tiles of an image uint8 [height, width, 3], each [tile_height, tile_width, 3]."""
        for rows, columns in self:
            tile = image[rows, columns]
            missing = self.tile_height - tile.shape[0], self.tile_width - tile.shape[1]
            yield np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else tile

    def join(self, tiles: Iterable[Image]) -> Image:
        """The image uint8 [height, width, 3] of which these are the tiles."""
        image = PartialImage(self)
        for _, tile in zip(range(self.tiles), tiles, strict=True):
            image.paste(tile)
        return image.pixels


class PartialImage:
    """An image that is put together tile by tile.

    pixels: uint8 [height, width, 3]. left: how many tiles are missing.
    """

    def __init__(self, grid: TileGrid) -> None:
        self.pixels: Image = np.empty((grid.height, grid.width, 3), np.uint8)
        self.left = grid.tiles
        self._places = iter(grid)

    def paste(self, tile: Image) -> None:
        """Put the next tile, [tile_height, tile_width, 3], where it belongs."""
        rows, columns = next(self._places)
        self.pixels[rows, columns] = tile[: rows.stop - rows.start, : columns.stop - columns.start]
        self.left -= 1


def groups(items: Iterable[_T], size: int, kind: Callable[[_T], object] = lambda _: None) -> Iterator[list[_T]]:
    """As many at a time as a graph takes, neighbours of one kind; the last group of each may be smaller."""
    for _, alike in groupby(items, kind):
        while group := list(islice(alike, size)):
            yield group


def fill(values: NDArray[Any], size: int) -> NDArray[Any]:
    """A group [n, ...] with fewer than a graph takes: its last one again, until there are `size`."""
    missing = size - len(values)
    return np.concatenate([values, *[values[-1:]] * missing]) if missing else values


def _tile(size: int, smallest: int, largest: int) -> int:
    """Height or width of tiles that cover `size` pixels, a multiple of 64."""
    tiles = -(-size // largest)
    even = -(-size // tiles)
    return max(smallest, -(-even // DOWNSAMPLING) * DOWNSAMPLING)
