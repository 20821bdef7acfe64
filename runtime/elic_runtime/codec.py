"""The codec: a bundle's subgraphs, joined with entropy coding on the CPU.

```
image ─ windows ─ g_a ─ y ─ h_a ─ z ─ latents.py ─ container.py ─ .elic
.elic ─ container.py ─ latents.py ─ y_hat ─ windows ─ g_s ─ image
```
An image is one latent, whatever its size and the shapes of the graphs: graphs run in overlapping windows, and what
decides symbols gives the integers of the whole latent.
"""

import io
import logging
import os
from collections.abc import Iterable, Iterator

from elic_runtime.bundle import Bundle
from elic_runtime.coder import make_coder
from elic_runtime.conformance import require_exact
from elic_runtime.container_reading import Source
from elic_runtime.decoder import Decoder
from elic_runtime.encoder import Encoder
from elic_runtime.errors import ElicError, FormatError, TargetError
from elic_runtime.latent_reader import LatentReader, Wanted
from elic_runtime.latents import LatentCoding
from elic_runtime.limits import Limits
from elic_runtime.metadata import NO_METADATA, Metadata
from elic_runtime.metrics import psnr
from elic_runtime.pixels import Image
from elic_runtime.progress import Progress, Ticks
from elic_runtime.rates import Target, UnreachableError, find_step
from elic_runtime.regions import Region
from elic_runtime.runners import Closable, Providers, Runner, RunnerFactory, describe_backend, load_runner, open_with
from elic_runtime.shapes import MAX_PIXELS
from elic_runtime.steps import nearest_step
from elic_runtime.subgraphs import deciding_names
from elic_runtime.thumbnail_head import SCALES
from elic_runtime.thumbnails import read_thumbnail
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
    windowed : bool
        Whether images may be larger than the graphs, which then run in windows.
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
        tables = bundle.tables()
        self.coder = make_coder()
        try:
            deciding = {name: load(name) for name in deciding_names(bundle.manifest.model)}
            require_exact(bundle, factory, deciding, tables.medians)
            windowed = {name: load_windowed(bundle, deciding.__getitem__, name) for name in deciding}
            latents = LatentCoding(bundle.manifest, tables, windowed)
            analysis = Analysis(bundle, load, halo) if encode else None
            synthesis = Synthesis(bundle, load, halo) if decode else None
        except BaseException:
            self.close()
            raise
        halves = (analysis, synthesis)
        self.windowed = latents.room and all(half.room for half in halves if half is not None)
        model = bundle.manifest, latents
        limits = Limits(windowed=self.windowed, pixels=max_pixels)
        self._maybe_encoder = None if analysis is None else Encoder(*model, analysis, limits)
        self._reader = LatentReader(*model, limits)
        self._maybe_decoder = None if synthesis is None else Decoder(bundle.manifest, self._reader, synthesis)

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
            Whether to load the encoder, and whether to load the decoder. A codec without both makes thumbnails.
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
    def _encoder(self) -> Encoder:
        if self._maybe_encoder is None:
            raise ElicError("this codec was loaded with encode=False")
        return self._maybe_encoder

    @property
    def _decoder(self) -> Decoder:
        if self._maybe_decoder is None:
            raise ElicError("this codec was loaded with decode=False")
        return self._maybe_decoder

    def compress(
        self,
        image: Image,
        *,
        step: float = 1.0,
        tiles: bool = False,
        metadata: Metadata = NO_METADATA,
        progress: Progress | None = None,
    ) -> bytes:
        """Compress an image.

        Parameters
        ----------
        image : ndarray
            uint8 [H, W, 3], RGB, of any size up to `max_pixels`.
        step : float
            How coarsely the latent is rounded: from 0.5 to 4, in units of 1/128. The checkpoint was trained for 1;
            a step of 2 gives a file of about half the size.
        tiles : bool
            Whether an image that the graphs do not take whole is cut into tiles that are coded on their own. They cost
            some percent of the bytes and are seen, but a part of the file then decodes without the rest. A bundle whose
            graphs are too small for windows codes in tiles always.
        metadata : Metadata
            What the file says of its picture, such as the colour profile of pixels that are not sRGB. `read_info` reads
            it.
        progress : callable, optional
            Is called after every window with the number of windows so far, and of all.

        Returns
        -------
        bytes
            The `.elic` file.

        Raises
        ------
        ImageError
            If the array has another type or shape, or if the metadata are too large.
        CoderError
            If the model produces symbols that are too large to be coded.
        BundleError
            If a subgraph cannot be run.
        ElicError
            If the codec was loaded with `encode=False`, or if the step is out of range.

        """
        step, ticks = nearest_step(step), Ticks(progress)
        return next(self._encoder.compress([image], self.coder, step, tiles=tiles, ticks=ticks, metadata=metadata))

    def compress_to(
        self,
        image: Image,
        target: Target,
        *,
        tiles: bool = False,
        metadata: Metadata = NO_METADATA,
        progress: Progress | None = None,
    ) -> bytes:
        """Compress an image to a size or a quality, by the step that gives it.

        g_a runs once, and the context model at most eight times. A target in dB needs the decoder too, and runs g_s as
        often.

        Parameters
        ----------
        image : ndarray
            As `compress` takes it.
        target : Target
            The size, which the file does not exceed, or the PSNR of the decompressed image.
        tiles, metadata, progress
            As `compress` takes them.

        Returns
        -------
        bytes
            The `.elic` file: of a size that is at most 1 % below the target, or of a PSNR within 0.05 dB of it. Steps
            are 1/128 apart; where none of those that were tried is that close, the largest below the target is taken.

        Raises
        ------
        TargetError
            If no step gives the image this size or quality. The message says what is possible.
        ElicError
            As `compress` raises it.

        """
        ticks, encoder = Ticks(progress), self._encoder
        decoder = self._decoder if target.quantity == "psnr" else None
        analysed = encoder.analyse(image, metadata, tiles=tiles, ticks=ticks)
        files: dict[float, bytes] = {}

        def measure(step: float) -> float:
            attempt = encoder.attempt(analysed, self.coder, step, ticks)
            files[step] = attempt.data
            return (
                len(attempt.data)
                if decoder is None
                else psnr(image, decoder.picture(attempt.container, attempt.y_hat, ticks))
            )

        pixels = image.shape[0] * image.shape[1]
        try:
            return files[find_step(target.goal(pixels), measure)]
        except UnreachableError as nearest:
            raise TargetError(target.explain(pixels, nearest.step, nearest.value)) from None

    def compress_many(self, images: Iterable[Image], *, step: float = 1.0, tiles: bool = False) -> Iterator[bytes]:
        """Compress images, running as many at once as the bundle's batch allows.

        Parameters
        ----------
        images : iterable of ndarray
            Images as `compress` takes them. They are read when they are needed.
        step : float
            The step of all of them, as in `compress`.
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
        step = nearest_step(step)
        yield from self._encoder.compress(images, self.coder, step, tiles=tiles, ticks=Ticks(None))

    def decompress(
        self,
        data: bytes,
        *,
        region: Box | None = None,
        slices: int | None = None,
        partial: bool = False,
        progress: Progress | None = None,
    ) -> Image:
        """Decompress a file.

        Parameters
        ----------
        data : bytes
            The `.elic` file.
        region : tuple of int, optional
            The part of the image to decode: left, top, width and height in pixels. It equals the same part of the whole
            picture, and takes less time, since g_s computes only what is needed.
        slices : int, optional
            How many slices of y to decode, from 0 up. The default is all of them; the others are predicted, which gives
            a preview.
        partial : bool
            Whether to decode a file that ends early, or is damaged, as far as it goes, where it is otherwise refused.
            What is missing is predicted; tiles of which nothing is there are grey.
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
            If the codec was loaded with `decode=False`, or if the model has fewer slices.

        """
        wanted = Wanted(Region(*region) if region is not None else None, slices, partial)
        return next(self._decoder.decompress([_bytes(data)], self.coder, wanted, Ticks(progress)))

    def decompress_progressive(self, source: bytes | Source) -> Iterator[Image]:
        """Decompress a file that is still arriving.

        Parameters
        ----------
        source : bytes or Source
            The file, or a stream that is read as far as the next picture needs: an open file, or what a socket's
            `makefile("rb")` returns.

        Yields
        ------
        ndarray
            The image after z and after each pass of y, from what has arrived: uint8 [H, W, 3], RGB. The last one is
            what `decompress` returns. Each one takes the time of a `decompress`.

        Raises
        ------
        ContainerError
            As `decompress` raises it, as soon as what has arrived shows it. Bytes after the file's end are not read.

        """
        stream = io.BytesIO(_bytes(source)) if not hasattr(source, "read") else source
        yield from self._decoder.progressive(stream, self.coder, Ticks(None))

    def thumbnail(self, data: bytes, scale: int = 16, *, slices: int | None = None, partial: bool = False) -> Image:
        """Decompress a small version of a file's picture, without g_s.

        Parameters
        ----------
        data : bytes
            The `.elic` file.
        scale : {16, 8}
            How many pixels of the picture, to each side, become one of the thumbnail.
        slices, partial
            As `decompress` takes them.

        Returns
        -------
        ndarray
            The thumbnail: uint8 [H / scale, W / scale, 3], rounded up, RGB.

        Raises
        ------
        ContainerError
            As `decompress` raises it.
        BundleError
            If the bundle has no head for thumbnails: one of float arithmetic, or one of an old calibration.
        ElicError
            If there is no such scale, or if the model has fewer slices.

        """
        if scale not in SCALES:
            raise ElicError(f"scale={scale}: it must be {' or '.join(map(str, SCALES))}")
        head = self.bundle.thumbnail_head()
        wanted = Wanted(None, slices, partial)
        return read_thumbnail(self._reader, _bytes(data), wanted, self.coder, head, scale)

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
        yield from self._decoder.decompress(map(_bytes, files), self.coder, Wanted(), Ticks(None))


def _bytes(data: object) -> bytes:
    """Return a file's content as bytes. Raises FormatError for anything else, such as a file's name."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise FormatError(f"a file is decoded from its bytes, not from {type(data).__name__}: read it first")
