"""Images -> `.elic` files: g_a and h_a, entropy coding, and the search for a step.

```
image ─ windows ─ g_a ─ y ─ h_a ─ z ─ latents.py ─ container.py ─ .elic
```
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from elic_runtime.batches import groups
from elic_runtime.coder import Coder
from elic_runtime.container import CodedTile, Container, serialize, short_fingerprint
from elic_runtime.context import Floats
from elic_runtime.latents import LatentCoding
from elic_runtime.limits import Limits
from elic_runtime.manifest import Manifest
from elic_runtime.metadata import NO_METADATA, Metadata, check_metadata
from elic_runtime.pixels import Image, check_image
from elic_runtime.progress import Ticks
from elic_runtime.tiles import TileGrid, alike
from elic_runtime.transforms import Analysis


@dataclass(frozen=True)
class Analysed:
    """An image after g_a and h_a, to be coded at one step after the other.

    Parameters
    ----------
    grid : TileGrid
        Size of the image and of its tiles.
    latents : sequence of tuple of ndarray
        y and z of the tiles, in groups that the graphs take at once.
    metadata : Metadata
        What its file is to say of it.

    """

    grid: TileGrid
    latents: Sequence[tuple[Floats, Floats]]
    metadata: Metadata


@dataclass(frozen=True)
class Attempt:
    """An image that was coded at one step.

    Parameters
    ----------
    container : Container
        The content of its file.
    data : bytes
        The file.
    y_hat : sequence of ndarray
        What the tiles decode to, in the groups of `Analysed`: float32 [B, M, H/16, W/16].

    """

    container: Container
    data: bytes
    y_hat: Sequence[Floats]


class Encoder:
    """The encoder's half of a codec.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    latents : LatentCoding
        The entropy model.
    analysis : Analysis
        g_a and h_a.
    limits : Limits
        What it takes.

    """

    def __init__(self, manifest: Manifest, latents: LatentCoding, analysis: Analysis, limits: Limits) -> None:
        self._manifest, self._latents, self._analyse, self._limits = manifest, latents, analysis, limits
        self._fingerprint = short_fingerprint(manifest.fingerprint)

    def compress(
        self,
        images: Iterable[Image],
        coder: Coder,
        step: float,
        *,
        tiles: bool,
        ticks: Ticks,
        metadata: Metadata = NO_METADATA,
    ) -> Iterator[bytes]:
        """Yield the files of images, of which as many are run at once as the bundle's batch allows.

        The metadata are those of each.
        """
        check_metadata(metadata)
        waiting: deque[tuple[TileGrid, list[CodedTile]]] = deque()

        def parts() -> Iterator[tuple[Image, TileGrid]]:
            for image in images:
                grid = self._grid(image, tiles=tiles)
                waiting.append((grid, []))
                ticks.total += grid.tiles * (self._analyse.count(*grid.tile) + self._latents.count(*grid.tile))
                yield from ((image[place], grid) for place in grid)

        for group in groups(parts(), self._manifest.batch.max, lambda part: alike(part[1], self._manifest.encoder)):
            y, z = self._analyse([image for image, _ in group], *group[0][1].tile, ticks)
            for tile in self._latents.encode(coder, y, z, step, ticks):
                next(coded for grid, coded in waiting if len(coded) < grid.tiles).append(tile)
            while waiting and len(waiting[0][1]) == waiting[0][0].tiles:
                grid, coded = waiting.popleft()
                yield serialize(self._container(grid, step, coded, metadata))

    def analyse(self, image: Image, metadata: Metadata, *, tiles: bool, ticks: Ticks) -> Analysed:
        """Run g_a and h_a on an image."""
        check_metadata(metadata)
        grid = self._grid(image, tiles=tiles)
        ticks.total += grid.tiles * self._analyse.count(*grid.tile)
        size = self._manifest.batch.max if alike(grid, self._manifest.encoder) == grid.tile else 1
        parts = groups((image[place] for place in grid), size)
        return Analysed(grid, [self._analyse(part, *grid.tile, ticks) for part in parts], metadata)

    def attempt(self, analysed: Analysed, coder: Coder, step: float, ticks: Ticks) -> Attempt:
        """Code an image at a step."""
        grid, coded, y_hat = analysed.grid, list[CodedTile](), list[Floats]()
        ticks.total += grid.tiles * self._latents.count(*grid.tile)
        for y, z in analysed.latents:
            y_hat.append(y.copy())
            coded += self._latents.encode(coder, y_hat[-1], z, step, ticks)
        container = self._container(grid, step, coded, analysed.metadata)
        return Attempt(container, serialize(container), y_hat)

    def _grid(self, image: Image, *, tiles: bool) -> TileGrid:
        check_image(image, self._limits.pixels)
        grid_of = TileGrid.within if tiles or not self._limits.windowed else TileGrid.whole
        return grid_of(image.shape[0], image.shape[1], self._manifest.encoder)

    def _container(self, grid: TileGrid, step: float, coded: Sequence[CodedTile], metadata: Metadata) -> Container:
        n_slices = len(self._manifest.model.groups)
        return Container(self._manifest.arithmetic, self._fingerprint, grid, step, n_slices, tuple(coded), metadata)
