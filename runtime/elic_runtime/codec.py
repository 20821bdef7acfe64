"""The codec: a bundle's subgraphs glued together with CPU-side entropy coding.

```
image ─ tiles ─ g_a_h_a ─ y ──────── symbols ─ coder ─┐
                        └ z ─ symbols ─ coder ────────┴─ .elic
                                └ h_s ─ context passes ┘
.elic ─ z ─ h_s ─ context passes, coder ─ y_hat ─ g_s ─ tiles ─ image
```
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elic_runtime.bundle import Bundle
from elic_runtime.coders import Coder, Indexes, make_coder
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
from elic_runtime.context import ANCHOR, NONANCHOR, ContextModel, Floats, Symbols, pack
from elic_runtime.errors import CoderError, DesyncError, ElicError, ImageError, WrongBundleError
from elic_runtime.runners import Providers, Runner, RunnerFactory, load_runner, onnxruntime_factory
from elic_runtime.shapes import DOWNSAMPLING
from elic_runtime.tables import CdfTables
from elic_runtime.tiles import Image, TileGrid, fill, groups


class Codec:
    """Compress and decompress images with one bundle.

    >>> codec = Codec.load("build/static-512x512")
    >>> data = codec.compress(image)
    >>> image = codec.decompress(data)
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
        self._h_s = deciding["h_s"]
        self._context = ContextModel(bundle.manifest.model, deciding.__getitem__)
        self._analyse = _load_analysis(bundle, load) if encode else None
        self._synthesise = _load_synthesis(bundle, load) if decode else None

    @classmethod
    def load(
        cls,
        path: str | Path,
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
        ConformanceError (the backend does not compute the bundle's integers).
        """
        factory = runner or onnxruntime_factory(providers, threads)
        return cls(Bundle(Path(path)), factory, coder=coder, encode=encode, decode=decode, max_pixels=max_pixels)

    def compress(self, image: Image) -> bytes:
        """Code an image, uint8 [H, W, 3] (RGB), of any size up to `max_pixels`, in tiles where the bundle needs them.

        Raises ImageError for another type or shape; CoderError for symbols that no image
        gives; BundleError if a subgraph does not run; ElicError if loaded with `encode=False`.
        """
        if self._analyse is None:
            raise ElicError("this codec was loaded with encode=False")
        check_image(image, self.max_pixels)
        grid = TileGrid.within(image.shape[0], image.shape[1], self._manifest.encoder)
        coded: list[CodedTile] = []
        for tiles in groups(grid.cut(image), self._manifest.batch.min):
            x = self._fill(np.concatenate([to_input(tile) for tile in tiles]))
            coded += self._encode_tiles(*self._analyse(x), len(tiles))
        return serialize(Container(self._coder.name, self._manifest.arithmetic, self._fingerprint, grid, tuple(coded)))

    def decompress(self, data: bytes) -> Image:
        """Decode a file: uint8 [H, W, 3] (RGB).

        Raises a kind of ContainerError if the file is damaged, of another bundle, or
        decodes to other symbols than were encoded; BundleError if a subgraph does not run;
        ElicError if loaded with `decode=False`.
        """
        if self._synthesise is None:
            raise ElicError("this codec was loaded with decode=False")
        container = parse(bytes(memoryview(data)), self.max_pixels, self._check_ours)
        coder = self._get_coder(container.coder)
        return container.grid.join(self._decoded(container, coder, self._synthesise))

    def _decoded(self, container: Container, coder: Coder, synthesise: Callable[[Floats], Floats]) -> Iterator[Image]:
        for tiles in groups(container.tiles, self._manifest.batch.min):
            x_hat = synthesise(self._decode_tiles(tiles, container.grid, coder))
            yield from map(to_image, x_hat[: len(tiles)])

    def _fill(self, values: NDArray[Any]) -> NDArray[Any]:
        return fill(values, self._manifest.batch.min)

    def _get_coder(self, name: str) -> Coder:
        if name not in self._coders:
            self._coders[name] = make_coder(name)
        return self._coders[name]

    def _check_ours(self, container: Container, n_slices: int) -> None:
        if container.fingerprint != self._fingerprint:
            raise WrongBundleError(
                f"written with another bundle (fingerprint {container.fingerprint.hex()[:12]}, "
                f"this one is {self._fingerprint.hex()[:12]}): decode it with the bundle that wrote it"
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
        return Section(streams, symbols_checksum([symbols for symbols, _ in passes]))

    def _decode_tiles(self, tiles: Sequence[CodedTile], grid: TileGrid, coder: Coder) -> Floats:
        """y_hat [B, M, H/16, W/16] of a group of tiles."""
        z_shape = (self._manifest.model.N, grid.tile_height // DOWNSAMPLING, grid.tile_width // DOWNSAMPLING)
        z_indexes = _z_indexes(z_shape)
        z_symbols = np.stack([self._decode_z(tile, z_indexes, coder) for tile in tiles])
        anchors: list[Symbols] = []

        def code(k: int, half: int, _means: Floats, scales: Floats) -> Symbols:
            indexes = self._tables.scale_indexes(scales)
            symbols = []
            with self._desync(f"slice {k}"):
                for b, tile in enumerate(tiles):
                    stream = tile.slices[k].streams[half]
                    symbols.append(coder.decode(stream, indexes[b].ravel(), self._tables.y).reshape(indexes[b].shape))
                    if half == NONANCHOR:
                        _check_symbols(tile.slices[k], [anchors[b], symbols[b]])
            anchors[:] = symbols
            return self._fill(np.stack(symbols))

        return self._context.walk(*self._latent_parameters(self._fill(z_symbols)), code)

    def _decode_z(self, tile: CodedTile, indexes: NDArray[np.uint16], coder: Coder) -> Symbols:
        with self._desync("z"):
            symbols = coder.decode(tile.z.streams[0], indexes.ravel(), self._tables.z).reshape(indexes.shape)
            _check_symbols(tile.z, [symbols])
        return symbols

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


def _load_analysis(bundle: Bundle, load: Callable[[str], Runner]) -> Callable[[Floats], tuple[Floats, Floats]]:
    """x -> y, z; by the merged graph if the bundle has it: one call, and y stays where it is."""
    if bundle.has("g_a_h_a"):
        merged = load("g_a_h_a")

        def analyse(x: Floats) -> tuple[Floats, Floats]:
            outputs = merged({"x": x})
            return outputs["y"], outputs["z"]
    else:
        g_a, h_a = load("g_a"), load("h_a")

        def analyse(x: Floats) -> tuple[Floats, Floats]:
            y = g_a({"x": x})["y"]
            return y, h_a({"y": y})["z"]

    return analyse


def _load_synthesis(bundle: Bundle, load: Callable[[str], Runner]) -> Callable[[Floats], Floats]:
    """y_hat -> x_hat; by the two halves of g_s if the bundle has only these."""
    if bundle.has("g_s") or not bundle.has("g_s_0"):
        g_s = load("g_s")
        return lambda y_hat: g_s({"y_hat": y_hat})["x_hat"]
    first, second = load("g_s_0"), load("g_s_1")
    return lambda y_hat: second(first({"y_hat": y_hat}))["x_hat"]


def to_input(tile: Image) -> Floats:
    """uint8 [H, W, 3] -> x float32 [1, 3, H, W] in 0..1."""
    x = np.ascontiguousarray(tile.transpose(2, 0, 1)[None], dtype=np.float32)
    return np.divide(x, np.float32(255), out=x)


def to_image(x_hat: Floats) -> Image:
    """x_hat float32 [3, H, W] -> uint8 [H, W, 3], rounded."""
    scaled = np.clip(x_hat, 0, 1) * np.float32(255)
    return np.rint(scaled, out=scaled).astype(np.uint8).transpose(1, 2, 0)


def _round(values: Floats) -> Symbols:
    return np.rint(values).astype(np.int32)


def _z_indexes(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """The row that codes each symbol of z: its channel. uint16, of `shape` [N, H, W]."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.uint16)[:, None, None], shape)


def check_image(image: Image, max_pixels: int) -> None:
    """Raises ImageError unless it is uint8 [H, W, 3], not empty, of at most so many pixels."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image is a uint8 array [H, W, 3], not {found}")
    height, width = image.shape[:2]
    if not height or not width or height * width > max_pixels:
        raise ImageError(f"an image of {width}x{height} is outside the limit of {max_pixels} pixels")


def _check_symbols(section: Section, passes: Sequence[Symbols]) -> None:
    if symbols_checksum(passes) != section.symbols_crc:
        raise CoderError("the checksum of the decoded symbols differs")


_WHY_DESYNC = {
    "exact": "the fingerprint is that of this bundle, the arithmetic that wrote or reads the file is not: one of the "
    "two machines does not compute the bundle's integers; run elic conformance on both",
    "float": "the fingerprint is that of this bundle, the float arithmetic of this machine is not that which wrote the "
    "file; decode it with the backend, thread count and processor that encoded, or use a bundle of exact arithmetic",
}
