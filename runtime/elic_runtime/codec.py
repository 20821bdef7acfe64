"""The codec: a bundle's subgraphs glued together with CPU-side entropy coding.

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
    MAX_PIXELS,
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
from elic_runtime.shapes import DOWNSAMPLING
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR
from elic_runtime.tables import CdfTables
from elic_runtime.tiles import Image, PartialImage, TileGrid, fill, groups
from elic_runtime.transforms import load_analysis, load_synthesis

logger = logging.getLogger(__name__)

PLAUSIBLE = 2048
"""Largest symbols that trained models gave of any image, and then some. Larger ones may be too much for fp16."""


class Codec:
    """Compress and decompress images with one bundle.

    A codec is loaded once and used for any number of images. It may be used from several threads at once: what it
    holds does not change after loading, and ONNX Runtime's sessions take concurrent runs. A runner of one's own must
    take them too.

    Examples
    --------
    >>> codec = Codec.load(bundle)
    >>> data = codec.compress(image)
    >>> codec.decompress(data).shape == image.shape
    True

    """

    def __init__(
        self, bundle: Bundle, factory: RunnerFactory, *, coder: str, encode: bool, decode: bool, max_pixels: int
    ) -> None:
        """Use `Codec.load`."""

        def load(name: str) -> Runner:
            return load_runner(bundle, factory, name)

        self.bundle = bundle
        self.max_pixels = max_pixels
        self._manifest = bundle.manifest
        self._fingerprint = bytes.fromhex(bundle.manifest.fingerprint)[:FINGERPRINT_BYTES]
        self._tables = bundle.tables()
        self._coders: dict[str, Coder] = {}
        self._coder = self._get_coder(coder)
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
        coder: str = "constriction",
        encode: bool = True,
        decode: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> "Codec":
        """Load a bundle.

        path: its folder; only the subgraphs of the halves asked for must be there.
        runner: loads subgraphs, instead of ONNX Runtime with these providers and threads.
        providers, threads: ONNX Runtime's execution providers, and threads per operator (0: one per core).
        coder: that `compress` writes with; `decompress` takes what the file names.
        max_pixels: larger images are refused, both ways.
        A bundle of exact arithmetic is first run over its known input (0.1 to 0.2 s at 512x512, once
        per process and ONNX Runtime setting on a CPU; each time for another provider or `runner`).
        Raises BundleError (missing, edited or incomplete), CoderError (no such coder),
        ConformanceError (the backend does not compute the bundle's integers), ElicError for
        options that are none.
        """
        if not encode and not decode:
            raise ElicError("encode=False, decode=False: a codec of neither half does nothing")
        if max_pixels < 1:
            raise ElicError(f"max_pixels={max_pixels}: it is at least 1")
        factory, bundle = runner or onnxruntime_factory(providers, threads), Bundle(path)
        codec = cls(bundle, factory, coder=coder, encode=encode, decode=decode, max_pixels=max_pixels)
        manifest = bundle.manifest
        logger.info(
            "loaded %s: %s %s, %s arithmetic, run by %s",
            *(bundle.folder, manifest.form, manifest.encoder, manifest.arithmetic, describe_backend(factory)),
        )
        return codec

    def compress(self, image: Image) -> bytes:
        """Code an image, uint8 [H, W, 3] (RGB), of any size up to `max_pixels`, in tiles where the bundle needs them.

        Raises ImageError for another type or shape; CoderError for symbols that no image
        gives; BundleError if a subgraph does not run; ElicError if loaded with `encode=False`.
        """
        return next(self.compress_many([image]))

    def compress_many(self, images: Iterable[Image]) -> Iterator[bytes]:
        """Code images, as many tiles at once as the bundle takes: with a batch of 4, four images in one run.

        images: each as `compress` takes it, and read as they are needed.
        Yields each one's file, the same as `compress` gives, in their order. Raises what
        `compress` raises; files of images in the batch of one that raises are lost.
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
        """Decode a file: uint8 [H, W, 3] (RGB).

        Raises a kind of ContainerError if the file is damaged, of another bundle, or
        decodes to other symbols than were encoded; BundleError if a subgraph does not run;
        ElicError if loaded with `decode=False`.
        """
        return next(self.decompress_many([data]))

    def decompress_many(self, files: Iterable[bytes]) -> Iterator[Image]:
        """Decode files, as many tiles at once as the bundle takes.

        files: each as `decompress` takes it, and read as they are needed.
        Yields each one's image, the same as `decompress` gives, in their order. Raises what
        `decompress` raises; images of files in the batch of one that raises are lost.
        """
        if self._synthesise is None:
            raise ElicError("this codec was loaded with decode=False")
        waiting: deque[PartialImage] = deque()

        def tiles() -> Iterator[_CodedBy]:
            for data in files:
                container = parse(_bytes(data), self.max_pixels, self._check_ours)
                coder = self._get_coder(container.coder)
                waiting.append(PartialImage(container.grid))
                yield from (_CodedBy(coder, tile, container.grid) for tile in container.tiles)

        for group in groups(tiles(), self._manifest.batch.max, _CodedBy.shape):
            x_hat = self._picture(group, self._synthesise)
            for tile in map(to_image, x_hat[: len(group)]):
                next(picture for picture in waiting if picture.left).paste(tile)
            while waiting and not waiting[0].left:
                yield waiting.popleft().pixels

    def _serialize(self, grid: TileGrid, tiles: list[CodedTile]) -> bytes:
        manifest = self._manifest
        return serialize(Container(self._coder.name, manifest.arithmetic, self._fingerprint, grid, tuple(tiles)))

    def _picture(self, group: Sequence["_CodedBy"], synthesise: Callable[[Floats], Floats]) -> Floats:
        """x_hat [B, 3, H, W] of a group of tiles."""
        largest = 0

        def see(symbols: Symbols) -> None:
            nonlocal largest
            largest = max(largest, int(np.abs(symbols).max()))

        try:
            return synthesise(self._decode_tiles(group, see))
        except NotFiniteError as error:
            if largest <= PLAUSIBLE:
                raise
            raise FormatError(f"it holds symbols of up to {largest}, which no image gives: {error}") from None

    def _fill(self, values: NDArray[Any]) -> NDArray[Any]:
        return fill(values, self._manifest.batch.min)

    def _get_coder(self, name: str) -> Coder:
        if name not in self._coders:
            self._coders[name] = make_coder(name)  # two threads may both make one: either serves
        return self._coders[name]

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
                f"written in tiles of {grid.tile_height}x{grid.tile_width}, this bundle takes {extent}: "
                "decode it with a bundle of that shape, or a dynamic one whose range holds it"
            )
        if n_slices != len(self._manifest.model.groups):
            raise WrongBundleError("written with another number of slices than this bundle has")

    def _encode_tiles(self, y: Floats, z: Floats, count: int) -> list[CodedTile]:
        """y [B, M, H/16, W/16] and z [B, N, H/64, W/64] -> the first `count` tiles; the others fill the group."""
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

    def _decode_tiles(self, group: Sequence["_CodedBy"], see: Callable[[Symbols], None]) -> Floats:
        """y_hat [B, M, H/16, W/16] of a group of tiles. `see` is shown all symbols before a subgraph gets them."""
        height, width = group[0].shape()
        z_indexes = _z_indexes((self._manifest.model.N, height // DOWNSAMPLING, width // DOWNSAMPLING))

        def decode(section: Callable[[CodedTile], Section], half: int, indexes: Indexes, tables: CdfTables) -> Symbols:
            """A pass of every tile, each held to its checksum. indexes: [B, ...]."""
            symbols = np.stack(
                [_decode_stream(t.coder, section(t.tile), half, i, tables) for t, i in zip(group, indexes, strict=True)]
            )
            see(symbols)
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
        """A stream that does not decode to what was encoded, as the error that says why."""
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
class _CodedBy:
    """A tile, the coder of its streams, and the grid that it is of."""

    coder: Coder
    tile: CodedTile
    grid: TileGrid

    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.grid.tile_height, self.grid.tile_width


def _round(values: Floats) -> Symbols:
    # Beyond these limits no coder takes them, and an int32 holds no more.
    return np.rint(values).clip(-(2.0**30), 2.0**30).astype(np.int32)


def _z_indexes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """The row that codes each symbol of z: its channel. uint16, of `shape` [N, H, W]."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.uint16)[:, None, None], shape)


def _decode_stream(coder: Coder, section: Section, half: int, indexes: Indexes, tables: CdfTables) -> Symbols:
    symbols = coder.decode(section.streams[half], indexes.ravel(), tables).reshape(indexes.shape)
    if symbols_checksum(symbols) != section.symbols_crcs[half]:
        raise CoderError("the checksum of the decoded symbols differs")
    return symbols


def _bytes(data: object) -> bytes:
    """A file's content. Raises ContainerError for anything else, such as its name."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise FormatError(f"a file is decoded from its bytes, not from {type(data).__name__}: read it first")


_WHY_DESYNC = {
    "exact": "the fingerprint is that of this bundle, the arithmetic that wrote or reads the file is not: one of the "
    "two machines does not compute the bundle's integers; run elic conformance on both",
    "float": "the fingerprint is that of this bundle, the float arithmetic of this machine is not that which wrote the "
    "file; decode it with the backend, thread count and processor that encoded, or use a bundle of exact arithmetic",
}
