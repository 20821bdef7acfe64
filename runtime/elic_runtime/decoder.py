"""`.elic` files -> images: entropy decoding, and g_s.

```
.elic ─ container.py ─ latents.py ─ y_hat ─ windows ─ g_s ─ image
```
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from elic_runtime.batches import groups
from elic_runtime.coder import Coder
from elic_runtime.container import Container, short_fingerprint
from elic_runtime.container_reading import Arriving, Source, parse, parse_prefix
from elic_runtime.context import Floats
from elic_runtime.encoder import Attempt, Limits, alike
from elic_runtime.errors import WrongBundleError
from elic_runtime.latents import LargestSymbol, LatentCoding
from elic_runtime.manifest import Manifest
from elic_runtime.pixels import Image
from elic_runtime.placement import PlacedTile
from elic_runtime.progress import Ticks
from elic_runtime.regions import PartialImage, Region
from elic_runtime.transforms import Synthesis


@dataclass(frozen=True)
class Wanted:
    """What to decode of a file.

    Parameters
    ----------
    region : Region, optional
        The part of the image; the default is all of it.
    slices : int, optional
        How many slices of y, from the first one on; the default is all of them. The others are predicted.
    partial : bool
        Whether a file may end early, or be damaged behind its beginning.

    """

    region: Region | None = None
    slices: int | None = None
    partial: bool = False


class Decoder:
    """The decoder's half of a codec.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    latents : LatentCoding
        The entropy model.
    synthesis : Synthesis
        g_s.
    limits : Limits
        What it takes.

    """

    def __init__(self, manifest: Manifest, latents: LatentCoding, synthesis: Synthesis, limits: Limits) -> None:
        self._manifest, self._latents, self._synthesise, self._limits = manifest, latents, synthesis, limits
        self._fingerprint = short_fingerprint(manifest.fingerprint)

    def decompress(self, files: Iterable[bytes], coder: Coder, wanted: Wanted, ticks: Ticks) -> Iterator[Image]:
        """Yield the images of files, of which as many are run at once as the bundle's batch allows."""
        read = parse_prefix if wanted.partial else parse
        waiting: deque[PartialImage] = deque()

        def tiles() -> Iterator[PlacedTile]:
            for data in files:
                container = read(data, self._limits.pixels, self._check_ours)
                if wanted.slices is not None:
                    container = container.first(wanted.slices)
                picture, placed = self._place(container, wanted.region, ticks)
                waiting.append(picture)
                yield from placed

        extent = self._manifest.decoder
        for group in groups(tiles(), self._manifest.batch.max, lambda tile: (tile.step, alike(tile.grid, extent))):
            self._decode(group, coder, ticks)
            while waiting and not waiting[0].left:
                yield waiting.popleft().pixels

    def progressive(self, source: Source, coder: Coder, ticks: Ticks) -> Iterator[Image]:
        """Yield the image of a stream after every pass that has arrived."""
        arriving = Arriving(source, self._limits.pixels, self._check_ours)
        header = arriving.header
        picture = PartialImage(Region(0, 0, header.grid.width, header.grid.height))
        places = list(header.grid)
        for number, tile in arriving:
            placed = PlacedTile(tile, header.grid, header.step, *places[number], picture)
            self._decode([placed], coder, ticks)
            yield picture.pixels.copy()

    def picture(self, attempt: Attempt, ticks: Ticks) -> Image:
        """Return the image that an encoder's attempt decodes to."""
        picture, placed = self._place(attempt.container, None, ticks)
        left = iter(placed)
        for y_hat in attempt.y_hat:
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
            PlacedTile(tile, grid, container.step, rows, columns, picture)
            for tile, (rows, columns) in zip(container.tiles, grid, strict=False)  # a file that ends early has fewer
            if region.overlaps(rows, columns)
        ]
        picture.left = len(placed)
        windows = self._synthesise.windows(*grid.tile)
        ticks.total += len(placed) * self._latents.count(*grid.tile)
        ticks.total += sum(tile.needs(window) for tile in placed for window in windows)
        return picture, placed

    def _decode(self, group: Sequence[PlacedTile], coder: Coder, ticks: Ticks) -> None:
        """Decode tiles of one shape and step into their pictures."""
        seen = LargestSymbol()
        with seen.explained():
            coded, (height, width) = [placed.tile for placed in group], group[0].grid.tile
            self._paint(group, self._latents.decode(coder, coded, height, width, group[0].step, seen, ticks), ticks)

    def _paint(self, group: Sequence[PlacedTile], y_hat: Floats, ticks: Ticks) -> None:
        """Run g_s on tiles of one shape, into their pictures."""
        windows = [w for w in self._synthesise.windows(*group[0].grid.tile) if any(tile.needs(w) for tile in group)]
        self._synthesise(y_hat, windows, lambda i, rows, columns, pixels: group[i].paste(rows, columns, pixels), ticks)
        for placed in group:
            placed.picture.left -= 1

    def _check_ours(self, container: Container) -> None:
        arithmetic = self._manifest.arithmetic
        if container.fingerprint != self._fingerprint:
            raise WrongBundleError(
                f"written with another bundle (fingerprint {container.fingerprint.hex()[:12]}, "
                f"this one is {self._fingerprint.hex()[:12]}): decode it with the bundle that wrote it"
            )
        if container.arithmetic != arithmetic:
            raise WrongBundleError(
                f"written in {container.arithmetic} arithmetic, this bundle's is {arithmetic}: decode it with the "
                "bundle that wrote it"
            )
        extent, (height, width) = self._manifest.decoder, container.grid.tile
        largest = extent.max
        if not self._limits.windowed and (height > largest.height or width > largest.width):
            raise WrongBundleError(
                f"written in tiles of {height}x{width}, this bundle takes up to {largest} (height x width) and is too "
                "small for windows: decode it with a bundle of larger images"
            )
        if height < extent.min.height or width < extent.min.width:
            raise WrongBundleError(
                f"written in tiles of {height}x{width}, this bundle takes {extent} (height x width): decode it with a "
                "bundle of smaller images, or with a dynamic one whose range includes it"
            )
        if container.n_slices != len(self._manifest.model.groups):
            raise WrongBundleError("written with another number of slices than this bundle has")
