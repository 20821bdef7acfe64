"""Where the tiles of a file that is being decoded go."""

from dataclasses import dataclass

from elic_runtime.container import CodedTile, Container
from elic_runtime.pixels import Image
from elic_runtime.regions import PartialImage
from elic_runtime.windows import Window


@dataclass(frozen=True)
class PlacedTile:
    """A coded tile, the header of its file, and where it goes: the picture, its rows and columns there."""

    tile: CodedTile
    header: Container
    rows: slice
    columns: slice
    picture: PartialImage

    def needs(self, window: Window) -> bool:
        """Return whether a window of the tile has pixels that the picture wants."""
        rows, columns = window.rows, window.columns
        return self.picture.region.overlaps(
            _moved(slice(rows.first, rows.last), self.rows), _moved(slice(columns.first, columns.last), self.columns)
        )

    def paste(self, rows: slice, columns: slice, pixels: Image) -> None:
        """Write pixels of the tile to the picture."""
        self.picture.paste(_moved(rows, self.rows), _moved(columns, self.columns), pixels)


def _moved(part: slice, whole: slice) -> slice:
    return slice(whole.start + part.start, whole.start + part.stop)
