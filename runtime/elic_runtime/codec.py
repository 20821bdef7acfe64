"""The codec: a bundle's subgraphs, joined with entropy coding on the CPU.

```
image ─ tiles ─ g_a_h_a ─ y ──────── symbols ─ coder ─┐
                        └ z ─ symbols ─ coder ────────┴─ .elic
                                └ h_s ─ context passes ┘
.elic ─ z ─ h_s ─ context passes, coder ─ y_hat ─ g_s ─ tiles ─ image
```
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elic_runtime.bundle import Bundle
from elic_runtime.coder import Coder, Indexes, make_coder
from elic_runtime.conformance import load_deciding, require_exact
from elic_runtime.container import (
    FINGERPRINT_BYTES,
    CodedTile,
    Container,
    Section,
    parse,
    serialize,
    symbols_checksum,
)
from elic_runtime.context import ContextModel, Floats, Symbols, pack
from elic_runtime.errors import (
    CoderError,
    DesyncError,
    ElicError,
    FormatError,
    NotFiniteError,
    WrongBundleError,
)
from elic_runtime.pixels import check_image, to_image, to_input
from elic_runtime.runners import Providers, Runner, RunnerFactory, describe_backend, load_runner, onnxruntime_factory
from elic_runtime.shapes import DOWNSAMPLING, MAX_PIXELS
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR
from elic_runtime.tables import CdfTables
from elic_runtime.tiles import Image, PartialImage, TileGrid, fill, groups
from elic_runtime.transforms import load_analysis, load_synthesis

logger = logging.getLogger(__name__)

PLAUSIBLE = 2048
"""An upper bound, with a margin, of the symbols that trained models produce. Larger symbols may overflow fp16."""


class Codec:
    """Compresses and decompresses images with one bundle. `Codec.load` creates it.

    A codec is loaded once and used for any number of images. Several threads may use it at once: it does not change
    after loading, and sessions of ONNX Runtime may run concurrently. A custom runner must allow concurrent runs too.

    Examples
    --------
    >>> codec = Codec.load(bundle)
    >>> data = codec.compress(image)
    >>> codec.decompress(data).shape == image.shape
    True

    """

    def __init__(self, bundle: Bundle, factory: RunnerFactory, *, encode: bool, decode: bool, max_pixels: int) -> None:
        """Initialize a codec; call `Codec.load` instead."""

        def load(name: str) -> Runner:
            return load_runner(bundle, factory, name)

        self.bundle = bundle
        self.max_pixels = max_pixels
        self._manifest = bundle.manifest
        self._fingerprint = bytes.fromhex(bundle.manifest.fingerprint)[:FINGERPRINT_BYTES]
        self._tables = bundle.tables()
        self._coder = make_coder()
        deciding = load_deciding(bundle, factory)
        require_exact(bundle, factory, deciding, self._tables.medians)
        self._h_s = deciding[H_S]
        self._context = ContextModel(bundle.manifest.model, deciding.__getitem__)
        self._analyse = load_analysis(bundle, load) if encode else None
        self._synthesise = load_synthesis(bundle, load) if decode else None

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        runner: RunnerFactory | None = None,
        providers: Providers = ("CPUExecutionProvider",),
        threads: int = 0,
        encode: bool = True,
        decode: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> "Codec":
        """Load a bundle.

        A bundle of exact arithmetic is first checked: its known input must give the integers that the manifest states.
        At 512x512 this takes 0.1 to 0.2 s. It is done once per process and setting of ONNX Runtime on a CPU, and at
        every load with another provider or a custom runner.

        Parameters
        ----------
        path : str or PathLike
            The bundle's folder. It may lack the subgraphs of a half that is not loaded.
        runner : RunnerFactory, optional
            Loads the subgraphs in the place of ONNX Runtime; `providers` and `threads` are then ignored.
        providers : Providers
            ONNX Runtime's execution providers, in order of preference.
        threads : int
            Threads per operator; 0 stands for one per core.
        encode, decode : bool
            Whether to load the encoder, and whether to load the decoder.
        max_pixels : int
            Images with more pixels are refused in both directions.

        Raises
        ------
        BundleError
            If the bundle is missing, incomplete or was changed, or a provider does not exist.
        ConformanceError
            If the backend does not compute the bundle's integers.
        ElicError
            If an option has no valid value.

        """
        if not encode and not decode:
            raise ElicError("encode=False, decode=False: a codec needs at least one of its halves")
        if max_pixels < 1:
            raise ElicError(f"max_pixels={max_pixels}: it must be at least 1")
        factory, bundle = runner or onnxruntime_factory(providers, threads), Bundle(path)
        codec = cls(bundle, factory, encode=encode, decode=decode, max_pixels=max_pixels)
        manifest = bundle.manifest
        logger.info(
            "loaded %s: %s %s, %s arithmetic, run by %s, entropy coder in %s",
            *(bundle.folder, manifest.form, manifest.encoder, manifest.arithmetic, describe_backend(factory)),
            codec._coder.name,
        )
        return codec

    def compress(self, image: Image) -> bytes:
        """Compress an image.

        Parameters
        ----------
        image : ndarray
            uint8 [H, W, 3], RGB, of any size up to `max_pixels`. An image that the bundle does not take whole is coded
            in tiles.

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
        return next(self.compress_many([image]))

    def compress_many(self, images: Iterable[Image]) -> Iterator[bytes]:
        """Compress images, running as many tiles at once as the bundle's batch allows.

        Parameters
        ----------
        images : iterable of ndarray
            Images as `compress` takes them. They are read when they are needed.

        Yields
        ------
        bytes
            The file of each image in order, the same as `compress` returns.

        Raises
        ------
        ElicError
            As `compress` raises it. The files of all images in the same batch are then lost.

        """
        if self._analyse is None:
            raise ElicError("this codec was loaded with encode=False")
        waiting: deque[tuple[TileGrid, list[CodedTile]]] = deque()

        def tiles() -> Iterator[Image]:
            for image in images:
                check_image(image, self.max_pixels)
                grid = TileGrid.within(image.shape[0], image.shape[1], self._manifest.encoder)
                waiting.append((grid, []))
                yield from grid.cut(image)

        for group in groups(tiles(), self._manifest.batch.max, np.shape):
            x = self._fill(np.concatenate([to_input(tile) for tile in group]))
            for tile in self._encode_tiles(*self._analyse(x), len(group)):
                next(coded for grid, coded in waiting if len(coded) < grid.tiles).append(tile)
            while waiting and len(waiting[0][1]) == waiting[0][0].tiles:
                yield self._serialize(*waiting.popleft())

    def decompress(self, data: bytes) -> Image:
        """Decompress a file.

        Parameters
        ----------
        data : bytes
            The `.elic` file.

        Returns
        -------
        ndarray
            The image: uint8 [H, W, 3], RGB.

        Raises
        ------
        ContainerError
            If the file is damaged, was written with another bundle, or decodes to other symbols than were encoded.
        BundleError
            If a subgraph cannot be run.
        ElicError
            If the codec was loaded with `decode=False`.

        """
        return next(self.decompress_many([data]))

    def decompress_many(self, files: Iterable[bytes]) -> Iterator[Image]:
        """Decompress files, running as many tiles at once as the bundle's batch allows.

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
        if self._synthesise is None:
            raise ElicError("this codec was loaded with decode=False")
        waiting: deque[PartialImage] = deque()

        def tiles() -> Iterator[_PlacedTile]:
            for data in files:
                container = parse(_bytes(data), self.max_pixels, self._check_ours)
                waiting.append(PartialImage(container.grid))
                yield from (_PlacedTile(tile, container.grid) for tile in container.tiles)

        for group in groups(tiles(), self._manifest.batch.max, _PlacedTile.shape):
            x_hat = self._decode_pixels(group, self._synthesise)
            for tile in map(to_image, x_hat[: len(group)]):
                next(picture for picture in waiting if picture.left).paste(tile)
            while waiting and not waiting[0].left:
                yield waiting.popleft().pixels

    def _serialize(self, grid: TileGrid, tiles: list[CodedTile]) -> bytes:
        manifest = self._manifest
        return serialize(Container(manifest.arithmetic, self._fingerprint, grid, tuple(tiles)))

    def _decode_pixels(self, group: Sequence["_PlacedTile"], synthesise: Callable[[Floats], Floats]) -> Floats:
        """Decode a group of tiles to x_hat [B, 3, H, W]."""
        largest = 0

        def observe(symbols: Symbols) -> None:
            nonlocal largest
            largest = max(largest, int(np.abs(symbols).max()))

        try:
            return synthesise(self._decode_tiles(group, observe))
        except NotFiniteError as error:
            if largest <= PLAUSIBLE:
                raise
            raise FormatError(f"it contains symbols of up to {largest}, which no image produces: {error}") from None

    def _fill(self, values: NDArray[Any]) -> NDArray[Any]:
        return fill(values, self._manifest.batch.min)

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
        extent, grid = self._manifest.decoder, container.grid
        if not extent.holds(grid.tile_height, grid.tile_width):
            raise WrongBundleError(
                f"written in tiles of {grid.tile_height}x{grid.tile_width}, this bundle takes {extent} (height x "
                "width): decode it with a bundle of that shape, or with a dynamic one whose range includes it"
            )
        if n_slices != len(self._manifest.model.groups):
            raise WrongBundleError("written with another number of slices than this bundle has")

    def _encode_tiles(self, y: Floats, z: Floats, count: int) -> list[CodedTile]:
        """Encode the first `count` tiles of a batch: y [B, M, H/16, W/16] and z [B, N, H/64, W/64]."""
        model = self._manifest.model
        z_symbols = _round(z - self._medians)
        y_slices = np.split(y, np.cumsum(model.groups)[:-1], axis=1)
        passes: list[tuple[Symbols, Indexes]] = []

        def code(k: int, half: int, means: Floats, scales: Floats) -> Symbols:
            symbols = _round(pack(y_slices[k], model.anchor_parity ^ half) - means)
            passes.append((symbols, self._tables.scale_indexes(scales)))
            return symbols

        self._context.walk(*self._latent_parameters(z_symbols), code)
        return [self._encode_tile(z_symbols[b], [(s[b], i[b]) for s, i in passes]) for b in range(count)]

    def _encode_tile(self, z_symbols: Symbols, passes: Sequence[tuple[Symbols, Indexes]]) -> CodedTile:
        z = self._encode_section([(z_symbols, _z_indexes(z_symbols.shape))], self._tables.z)
        pairs = zip(passes[ANCHOR::2], passes[NONANCHOR::2], strict=True)
        return CodedTile(z, tuple(self._encode_section(pair, self._tables.y) for pair in pairs))

    def _encode_section(self, passes: Sequence[tuple[Symbols, Indexes]], tables: CdfTables) -> Section:
        streams = tuple(self._coder.encode(symbols.ravel(), indexes.ravel(), tables) for symbols, indexes in passes)
        return Section(streams, tuple(symbols_checksum(symbols) for symbols, _ in passes))

    def _decode_tiles(self, group: Sequence["_PlacedTile"], observe: Callable[[Symbols], None]) -> Floats:
        """Decode a group of tiles to y_hat [B, M, H/16, W/16]; `observe` gets all symbols before a subgraph does."""
        height, width = group[0].shape()
        z_indexes = _z_indexes((self._manifest.model.N, height // DOWNSAMPLING, width // DOWNSAMPLING))

        def decode(section: Callable[[CodedTile], Section], half: int, indexes: Indexes, tables: CdfTables) -> Symbols:
            """Decode one pass of every tile, and check it against its checksum; `indexes` is [B, ...]."""
            symbols = np.stack(
                [
                    _decode_stream(self._coder, section(t.tile), half, i, tables)
                    for t, i in zip(group, indexes, strict=True)
                ]
            )
            observe(symbols)
            return self._fill(symbols)

        def code(k: int, half: int, _means: Floats, scales: Floats) -> Symbols:
            with self._desync(f"slice {k}"):
                indexes = self._tables.scale_indexes(scales[: len(group)])
                return decode(lambda tile: tile.slices[k], half, indexes, self._tables.y)

        with self._desync("z"):
            indexes = np.broadcast_to(z_indexes, (len(group), *z_indexes.shape))
            z_symbols = decode(lambda tile: tile.z, 0, indexes, self._tables.z)
        return self._context.walk(*self._latent_parameters(z_symbols), code)

    @contextmanager
    def _desync(self, what: str) -> Iterator[None]:
        """Turn a CoderError of the block into a DesyncError that explains the cause."""
        try:
            yield
        except CoderError as error:
            why = _WHY_DESYNC[self._manifest.arithmetic]
            raise DesyncError(f"{what} does not decode to what was encoded ({error}): {why}") from None

    def _latent_parameters(self, z_symbols: Symbols) -> tuple[Floats, Floats]:
        outputs = self._h_s({"z_hat": z_symbols.astype(np.float32) + self._medians})
        return outputs["latent_means"], outputs["latent_scales"]

    @property
    def _medians(self) -> Floats:
        return self._tables.medians[None, :, None, None]


@dataclass(frozen=True)
class _PlacedTile:
    """A coded tile, and the grid that it belongs to."""

    tile: CodedTile
    grid: TileGrid

    def shape(self) -> tuple[int, int]:
        """Height and width of the tile in pixels."""
        return self.grid.tile_height, self.grid.tile_width


def _round(values: Floats) -> Symbols:
    # No coder takes values beyond these limits, and much larger ones would overflow int32.
    return np.rint(values).clip(-(2.0**30), 2.0**30).astype(np.int32)


def _z_indexes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return the row of the CDF table that codes each symbol of z, which is its channel: uint16 [N, H, W]."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.uint16)[:, None, None], shape)


def _decode_stream(coder: Coder, section: Section, half: int, indexes: Indexes, tables: CdfTables) -> Symbols:
    symbols = coder.decode(section.streams[half], indexes.ravel(), tables).reshape(indexes.shape)
    if symbols_checksum(symbols) != section.symbols_crcs[half]:
        raise CoderError("the checksum of the decoded symbols differs")
    return symbols


def _bytes(data: object) -> bytes:
    """Return a file's content as bytes. Raises FormatError for anything else, such as a file's name."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise FormatError(f"a file is decoded from its bytes, not from {type(data).__name__}: read it first")


_WHY_DESYNC = {
    "exact": "the fingerprint is that of this bundle, so one of the two machines does not compute the bundle's "
    "integers; run elic conformance on both",
    "float": "the fingerprint is that of this bundle, but the float arithmetic of this machine is not that of the "
    "encoder; decode with the encoder's backend, thread count and processor, or use a bundle of exact arithmetic",
}
"""Why a whole file of this bundle may decode to other symbols, by the bundle's arithmetic."""
