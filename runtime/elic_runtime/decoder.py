"""`.elic` files -> images: g_s of decoded latents.

```
.elic ─ latent_reader.py ─ y_hat ─ windows ─ g_s ─ image
```
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from elic_runtime.batches import groups
from elic_runtime.coder import Coder
from elic_runtime.container import Container
from elic_runtime.container_reading import Source
from elic_runtime.context import Floats
from elic_runtime.latent_reader import LatentReader, Wanted
from elic_runtime.manifest import Manifest
from elic_runtime.pixels import Image
from elic_runtime.placement import PlacedTile
from elic_runtime.progress import Ticks
from elic_runtime.regions import PartialImage, Region
from elic_runtime.tiles import alike
from elic_runtime.transforms import Synthesis


class Decoder:
    """The decoder's half of a codec.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    reader : LatentReader
        Decodes latents.
    synthesis : Synthesis
        g_s.

    """

    def __init__(self, manifest: Manifest, reader: LatentReader, synthesis: Synthesis) -> None:
        self._manifest, self._reader, self._synthesise = manifest, reader, synthesis

    def decompress(self, files: Iterable[bytes], coder: Coder, wanted: Wanted, ticks: Ticks) -> Iterator[Image]:
        """Yield the images of files, of which as many are run at once as the bundle's batch allows."""
        waiting: deque[PartialImage] = deque()

        def tiles() -> Iterator[PlacedTile]:
            for data in files:
                container = self._reader.open(data, wanted)
                picture, placed = self._place(container, wanted.region, ticks)
                ticks.total += len(placed) * self._reader.count(*container.grid.tile)
                waiting.append(picture)
                yield from placed

        extent = self._manifest.decoder
        for group in groups(
            tiles(), self._manifest.batch.max, lambda tile: (tile.header.step, alike(tile.header.grid, extent))
        ):
            self._decode(group, coder, ticks)
            while waiting and not waiting[0].left:
                yield waiting.popleft().pixels
        for picture in waiting:  # of files that end before the tiles that are wanted
            yield picture.pixels

    def progressive(self, source: Source, coder: Coder, ticks: Ticks) -> Iterator[Image]:
        """Yield the image of a stream after every pass that has arrived, of every tile."""
        arriving = self._reader.arriving(source)
        header, grid = arriving.header, arriving.header.grid
        picture = PartialImage(Region(0, 0, grid.width, grid.height))
        places, at = iter(grid), -1
        for number, tile in arriving:
            if number > at:
                at, place = number, next(places)
            self._decode([PlacedTile(tile, header, *place, picture)], coder, ticks)
            yield picture.pixels.copy()

    def picture(self, container: Container, latents: Iterable[Floats], ticks: Ticks) -> Image:
        """Return the image of a file of which y_hat is known, in groups of tiles that the graphs take at once."""
        picture, placed = self._place(container, None, ticks)
        left = iter(placed)
        for y_hat in latents:
            self._paint([next(left) for _ in y_hat], y_hat, ticks)
        return picture.pixels

    def _place(
        self, container: Container, region: Region | None, ticks: Ticks
    ) -> tuple[PartialImage, list[PlacedTile]]:
        """Return an image to be made, and the tiles that it needs."""
        grid = container.grid
        region = region or Region(0, 0, grid.width, grid.height)
        region.check(grid.height, grid.width)
        picture = PartialImage(region)
        placed = [
            PlacedTile(tile, container, rows, columns, picture)
            for tile, (rows, columns) in zip(container.tiles, grid, strict=False)  # a file that ends early has fewer
            if region.overlaps(rows, columns)
        ]
        picture.left = len(placed)
        windows = self._synthesise.windows(*grid.tile)
        ticks.total += sum(tile.needs(window) for tile in placed for window in windows)
        return picture, placed

    def _decode(self, group: Sequence[PlacedTile], coder: Coder, ticks: Ticks) -> None:
        """Decode tiles of one shape and step into their pictures."""
        y_hat = self._reader.decode(group[0].header, [placed.tile for placed in group], coder, ticks)
        self._paint(group, y_hat, ticks)

    def _paint(self, group: Sequence[PlacedTile], y_hat: Floats, ticks: Ticks) -> None:
        """Run g_s on tiles of one shape, into their pictures."""
        windows = [
            w for w in self._synthesise.windows(*group[0].header.grid.tile) if any(tile.needs(w) for tile in group)
        ]
        self._synthesise(y_hat, windows, lambda i, rows, columns, pixels: group[i].paste(rows, columns, pixels), ticks)
        for placed in group:
            placed.picture.left -= 1
