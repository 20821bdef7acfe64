"""The codec: a bundle's subgraphs, joined with entropy coding on the CPU.

```
image ─ windows ─ g_a ─ y ─ h_a ─ z ─ latents.py ─ container.py ─ .elic
.elic ─ container.py ─ latents.py ─ y_hat ─ windows ─ g_s ─ image
```
An image is one latent, whatever its size and the shapes of the graphs: graphs run in overlapping windows, and what
decides symbols gives the integers of the whole latent.
"""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from elic_runtime.batches import groups
from elic_runtime.bundle import Bundle
from elic_runtime.coder import make_coder
from elic_runtime.conformance import require_exact
from elic_runtime.container import FINGERPRINT_BYTES, CodedTile, Container, parse, serialize
from elic_runtime.errors import ElicError, FormatError, WrongBundleError
from elic_runtime.latents import LargestSymbol, LatentCoding
from elic_runtime.pixels import Image, check_image
from elic_runtime.placement import PlacedTile
from elic_runtime.progress import Progress, Ticks
from elic_runtime.regions import PartialImage, Region
from elic_runtime.runners import Closable, Providers, Runner, RunnerFactory, describe_backend, load_runner, open_with
from elic_runtime.shapes import MAX_PIXELS, Extent
from elic_runtime.subgraphs import deciding_names
from elic_runtime.tiles import TileGrid
from elic_runtime.transforms import Analysis, Synthesis, load_windowed
from elic_runtime.windows import DEFAULT_HALO, MAX_HALO

logger = logging.getLogger(__name__)

Box = tuple[int, int, int, int]
"""Left, top, width and height of a part of an image, in pixels."""


class Codec:
    """Compresses and decompresses images with one bundle. `Codec.load` creates it.

    A codec is loaded once and used for any number of images. Several threads may use it at once: it does not change
    after loading, and sessions of ONNX Runtime may run concurrently. A custom runner must allow concurrent runs too.

    Attributes
    ----------
    bundle : Bundle
        The bundle.
    max_pixels : int
        Images with more pixels are refused.
    coder : Coder
        The entropy coder. One that replaces it, to measure or to observe, must write and read the same bytes.

    Examples
    --------
    >>> codec = Codec.load(bundle)
    >>> data = codec.compress(image)
    >>> codec.decompress(data).shape == image.shape
    True

    """

    def __init__(
        self,
        bundle: Bundle,
        factory: RunnerFactory,
        *,
        encode: bool,
        decode: bool,
        max_pixels: int = MAX_PIXELS,
        halo: int = DEFAULT_HALO,
    ) -> None:
        """Initialize a codec; call `Codec.load` instead."""

        def load(name: str) -> Runner:
            runner = load_runner(bundle, factory, name)
            self._runners.append(runner)
            return runner

        self._runners: list[Closable] = []
        self.bundle = bundle
        self.max_pixels = max_pixels
        self._manifest = bundle.manifest
        self._fingerprint = bytes.fromhex(bundle.manifest.fingerprint)[:FINGERPRINT_BYTES]
        tables = bundle.tables()
        self.coder = make_coder()
        try:
            deciding = {name: load(name) for name in deciding_names(bundle.manifest.model)}
            require_exact(bundle, factory, deciding, tables.medians)
            windowed = {name: load_windowed(bundle, deciding.__getitem__, name) for name in deciding}
            self._latents = LatentCoding(bundle.manifest, tables, windowed)
            self._analyse = Analysis(bundle, load, halo) if encode else None
            self._synthesise = Synthesis(bundle, load, halo) if decode else None
        except BaseException:
            self.close()
            raise

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        runner: str | RunnerFactory | None = None,
        providers: Providers = ("CPUExecutionProvider",),
        threads: int = 0,
        encode: bool = True,
        decode: bool = True,
        max_pixels: int = MAX_PIXELS,
        halo: int = DEFAULT_HALO,
    ) -> "Codec":
        """Load a bundle.

        A bundle of exact arithmetic is first checked: its known input must give the integers that the manifest states.
        At 512x512 this takes 0.1 to 0.2 s. It is done once per process and setting of ONNX Runtime on a CPU, and at
        every load with another provider or a custom runner.

        Parameters
        ----------
        path : str or PathLike
            The bundle's folder. It may lack the subgraphs of a half that is not loaded.
        runner : str or RunnerFactory, optional
            What runs the transforms: `onnxruntime`, the default; a compiler's engine, such as `mnn`, if the bundle was
            compiled for it; or `auto`, the fastest of those that are installed. An application's own factory loads
            all subgraphs, and `providers` and `threads` are then ignored.
        providers : Providers
            ONNX Runtime's execution providers, in order of preference. Whatever the engine, ONNX Runtime runs the
            subgraphs that decide symbols.
        threads : int
            Threads per operator; 0 stands for one per core.
        encode, decode : bool
            Whether to load the encoder, and whether to load the decoder.
        max_pixels : int
            Images with more pixels are refused in both directions.
        halo : int
            Positions of y, of 16 pixels each, by which windows of g_a and g_s overlap their neighbours on each side.
            The default of 3 gives the picture of one window; 2 is faster, and what it changes is invisible.

        Raises
        ------
        BundleError
            If the bundle is missing, incomplete or was changed, if it was not compiled for the runner, or if a package
            or a provider does not exist here.
        ConformanceError
            If the backend does not compute the bundle's integers.
        ElicError
            If an option has no valid value.

        """
        if not encode and not decode:
            raise ElicError("encode=False, decode=False: a codec needs at least one of its halves")
        if max_pixels < 1:
            raise ElicError(f"max_pixels={max_pixels}: it must be at least 1")
        if not 1 <= halo <= MAX_HALO:
            raise ElicError(f"halo={halo}: it must be from 1 to {MAX_HALO}")
        halves = [half for half, wanted in (("encoder", encode), ("decoder", decode)) if wanted]
        bundle, factory = open_with(path, runner, providers=providers, threads=threads, halves=halves)
        codec = cls(bundle, factory, encode=encode, decode=decode, max_pixels=max_pixels, halo=halo)
        manifest = bundle.manifest
        logger.info(
            "loaded %s: %s %s, %s arithmetic, run by %s, entropy coder in %s",
            *(bundle.folder, manifest.form, manifest.encoder, manifest.arithmetic, describe_backend(factory)),
            codec.coder.name,
        )
        return codec

    def close(self) -> None:
        """Release what the runners hold, such as an NPU's memory. The codec cannot be used afterwards.

        ONNX Runtime's sessions need no closing. A codec is its own context manager, which closes it.
        """
        for runner in self._runners:
            runner.close()

    def __enter__(self) -> "Codec":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def windowed(self) -> bool:
        """Whether images may be larger than the graphs, which then run in windows."""
        halves = (self._analyse, self._synthesise)
        return self._latents.room and all(half.room for half in halves if half is not None)

    def compress(self, image: Image, *, tiles: bool = False, progress: Progress | None = None) -> bytes:
        """Compress an image.

        Parameters
        ----------
        image : ndarray
            uint8 [H, W, 3], RGB, of any size up to `max_pixels`.
        tiles : bool
            Whether an image that the graphs do not take whole is cut into tiles that are coded on their own. They cost
            some percent of the bytes and are seen, but a part of the file then decodes without the rest. A bundle whose
            graphs are too small for windows codes in tiles always.
        progress : callable, optional
            Is called after every window with the number of windows so far, and of all.

        Returns
        -------
        bytes
            The `.elic` file.

        Raises
        ------
        ImageError
            If the array has another type or shape.
        CoderError
            If the model produces symbols that are too large to be coded.
        BundleError
            If a subgraph cannot be run.
        ElicError
            If the codec was loaded with `encode=False`.

        """
        return next(self._compress([image], tiles=tiles, ticks=Ticks(progress)))

    def compress_many(self, images: Iterable[Image], *, tiles: bool = False) -> Iterator[bytes]:
        """Compress images, running as many at once as the bundle's batch allows.

        Parameters
        ----------
        images : iterable of ndarray
            Images as `compress` takes them. They are read when they are needed.
        tiles : bool
            Whether to cut them into tiles, as in `compress`.

        Yields
        ------
        bytes
            The file of each image in order, the same as `compress` returns.

        Raises
        ------
        ElicError
            As `compress` raises it. The files of all images in the same batch are then lost.

        """
        yield from self._compress(images, tiles=tiles, ticks=Ticks(None))

    def decompress(self, data: bytes, *, region: Box | None = None, progress: Progress | None = None) -> Image:
        """Decompress a file.

        Parameters
        ----------
        data : bytes
            The `.elic` file.
        region : tuple of int, optional
            The part of the image to decode: left, top, width and height in pixels. It equals the same part of the whole
            picture, and takes less time, since g_s computes only what is needed.
        progress : callable, optional
            Is called after every window with the number of windows so far, and of all.

        Returns
        -------
        ndarray
            The image, or its part: uint8 [H, W, 3], RGB.

        Raises
        ------
        ContainerError
            If the file is damaged, was written with another bundle, or decodes to other symbols than were encoded.
        ImageError
            If the region is not within the image.
        BundleError
            If a subgraph cannot be run.
        ElicError
            If the codec was loaded with `decode=False`.

        """
        part = Region(*region) if region is not None else None
        return next(self._decompress([data], part, Ticks(progress)))

    def decompress_many(self, files: Iterable[bytes]) -> Iterator[Image]:
        """Decompress files, running as many at once as the bundle's batch allows.

        Parameters
        ----------
        files : iterable of bytes
            Files as `decompress` takes them. They are read when they are needed.

        Yields
        ------
        ndarray
            The image of each file in order, the same as `decompress` returns.

        Raises
        ------
        ElicError
            As `decompress` raises it. The images of all files in the same batch are then lost.

        """
        yield from self._decompress(files, None, Ticks(None))

    def _compress(self, images: Iterable[Image], *, tiles: bool, ticks: Ticks) -> Iterator[bytes]:
        analyse, extent = self._analyse, self._manifest.encoder
        if analyse is None:
            raise ElicError("this codec was loaded with encode=False")
        grid_of = TileGrid.within if tiles or not self.windowed else TileGrid.whole
        waiting: deque[tuple[TileGrid, list[CodedTile]]] = deque()

        def parts() -> Iterator[tuple[Image, TileGrid]]:
            for image in images:
                check_image(image, self.max_pixels)
                grid = grid_of(image.shape[0], image.shape[1], extent)
                waiting.append((grid, []))
                ticks.total += grid.tiles * (analyse.count(*grid.tile) + self._latents.count(*grid.tile))
                yield from ((image[place], grid) for place in grid)

        for group in groups(parts(), self._manifest.batch.max, lambda part: _alike(part[1], extent)):
            y, z = analyse([image for image, _ in group], *group[0][1].tile, ticks)
            for tile in self._latents.encode(self.coder, y, z, ticks):
                next(coded for grid, coded in waiting if len(coded) < grid.tiles).append(tile)
            while waiting and len(waiting[0][1]) == waiting[0][0].tiles:
                grid, coded = waiting.popleft()
                yield serialize(Container(self._manifest.arithmetic, self._fingerprint, grid, tuple(coded)))

    def _decompress(self, files: Iterable[bytes], region: Region | None, ticks: Ticks) -> Iterator[Image]:
        synthesise, extent = self._synthesise, self._manifest.decoder
        if synthesise is None:
            raise ElicError("this codec was loaded with decode=False")
        waiting: deque[PartialImage] = deque()

        def tiles() -> Iterator[PlacedTile]:
            for data in files:
                container = parse(_bytes(data), self.max_pixels, self._check_ours)
                grid = container.grid
                part = region or Region(0, 0, grid.width, grid.height)
                part.check(grid.height, grid.width)
                picture = PartialImage(part)
                waiting.append(picture)
                placed = [
                    PlacedTile(tile, grid, rows, columns, picture)
                    for tile, (rows, columns) in zip(container.tiles, grid, strict=True)
                    if part.overlaps(rows, columns)
                ]
                picture.left = len(placed)
                windows = synthesise.windows(*grid.tile)
                ticks.total += len(placed) * self._latents.count(*grid.tile)
                ticks.total += sum(tile.needs(window) for tile in placed for window in windows)
                yield from placed

        for group in groups(tiles(), self._manifest.batch.max, lambda tile: _alike(tile.grid, extent)):
            self._decode(group, synthesise, ticks)
            while waiting and not waiting[0].left:
                yield waiting.popleft().pixels

    def _decode(self, group: Sequence[PlacedTile], synthesise: Synthesis, ticks: Ticks) -> None:
        """Decode tiles of one shape into their pictures."""
        height, width = group[0].grid.tile
        seen = LargestSymbol()
        with seen.explained():
            y_hat = self._latents.decode(self.coder, [placed.tile for placed in group], height, width, seen, ticks)
            windows = [w for w in synthesise.windows(height, width) if any(tile.needs(w) for tile in group)]
            synthesise(y_hat, windows, lambda i, rows, columns, pixels: group[i].paste(rows, columns, pixels), ticks)
        for placed in group:
            placed.picture.left -= 1

    def _check_ours(self, container: Container, n_slices: int) -> None:
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
        if not self.windowed and (height > largest.height or width > largest.width):
            raise WrongBundleError(
                f"written in tiles of {height}x{width}, this bundle takes up to {largest} (height x width) and is too "
                "small for windows: decode it with a bundle of larger images"
            )
        if height < extent.min.height or width < extent.min.width:
            raise WrongBundleError(
                f"written in tiles of {height}x{width}, this bundle takes {extent} (height x width): decode it with a "
                "bundle of smaller images, or with a dynamic one whose range includes it"
            )
        if n_slices != len(self._manifest.model.groups):
            raise WrongBundleError("written with another number of slices than this bundle has")


def _alike(grid: TileGrid, extent: Extent) -> object:
    """Return what tiles that are run in one batch have in common. One that is larger than a window is run alone."""
    height, width = grid.tile
    return grid.tile if height <= extent.max.height and width <= extent.max.width else object()


def _bytes(data: object) -> bytes:
    """Return a file's content as bytes. Raises FormatError for anything else, such as a file's name."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise FormatError(f"a file is decoded from its bytes, not from {type(data).__name__}: read it first")
