"""Image files -> `.elic` files and back, and the facts that an `.elic` file contains.

`codec.py` works on arrays and bytes; this module adds the files. The `elic` command is a thin layer over it.
"""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from elic_runtime.codec import Box, Codec
from elic_runtime.container import Container
from elic_runtime.container_reading import parse, parse_prefix
from elic_runtime.files import write_bytes
from elic_runtime.images import Photograph, encode_picture, in_srgb, read_photograph
from elic_runtime.metadata import KINDS, Metadata
from elic_runtime.pixels import Image
from elic_runtime.progress import Progress
from elic_runtime.rates import Target
from elic_runtime.subgraphs import PASSES
from elic_runtime.tiles import TileGrid

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class CodedFile:
    """The result of compressing or decompressing one image.

    Parameters
    ----------
    width, height : int
        Size in pixels of the image, or of the part or the thumbnail that was decompressed.
    pixels : int
        Pixels of the whole image.
    size : int
        Size of the `.elic` file in bytes.
    seconds : float
        Time that the codec took, without reading and writing files.
    step : float
        How coarsely the latent was rounded; 1 is what the checkpoint was trained for.
    passes, all_passes : int
        How many passes of y were decoded, and how many the whole file has.
    converted_from : str, optional
        The colour profile that the colours were converted from, if they were.
    dropped : tuple of str
        Names of what the file that was read says besides, and the one that was written does not.

    Examples
    --------
    >>> coded = compress_file(codec, photograph, folder / "coded.elic")
    >>> coded.bpp == 8 * coded.size / (coded.width * coded.height)
    True

    """

    width: int
    height: int
    pixels: int
    size: int
    seconds: float
    step: float
    passes: int
    all_passes: int
    converted_from: str | None = None
    dropped: tuple[str, ...] = ()

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole image."""
        return 8 * self.size / self.pixels


@dataclass(frozen=True)
class ContainerInfo:
    """The facts that an `.elic` file contains.

    Parameters
    ----------
    grid : TileGrid
        Size of the image and of its tiles, in pixels.
    size : int
        Size of the file in bytes.
    arithmetic : {"float", "exact"}
        The arithmetic of the context model.
    fingerprint : str
        The first bytes of the fingerprint of the bundle that wrote the file, in hex.
    step : float
        How coarsely the latent was rounded; 1 is what the checkpoint was trained for.
    metadata : Metadata
        What the file says of its picture.
    z_bytes : int
        Size of the streams of z in bytes.
    slice_bytes : tuple of int
        Size of each slice's streams in bytes.

    Examples
    --------
    >>> info = read_info((folder / "cat.elic").read_bytes())
    >>> info.header_bytes + info.z_bytes + sum(info.slice_bytes) == info.size
    True

    """

    grid: TileGrid
    size: int
    arithmetic: str
    fingerprint: str
    step: float
    metadata: Metadata
    z_bytes: int
    slice_bytes: tuple[int, ...]

    @property
    def width(self) -> int:
        """Width of the image in pixels."""
        return self.grid.width

    @property
    def height(self) -> int:
        """Height of the image in pixels."""
        return self.grid.height

    @property
    def header_bytes(self) -> int:
        """Size in bytes of what is neither in streams nor metadata: the header, the indexes and the checksums."""
        return self.size - self.z_bytes - sum(self.slice_bytes) - self.metadata.size


def compress_file(codec: Codec, source: AnyPath, target: AnyPath) -> CodedFile:
    """Compress a photograph into an `.elic` file, which is written whole or not at all.

    Parameters
    ----------
    codec : Codec
        A codec that was loaded with its encoder.
    source : str or PathLike
        Any file that `elic_runtime.images.read_image` reads.
    target : str or PathLike
        File to write.

    Raises
    ------
    ImageError, CoderError, BundleError
        As `read_image` and `Codec.compress` raise them.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> codec = Codec.load(bundle)
    >>> coded = compress_file(codec, photograph, folder / "cat.elic")
    >>> coded.size == (folder / "cat.elic").stat().st_size
    True

    """
    data, coded = compress_photograph(codec, read_photograph(source, keep_profile=True))
    write_bytes(Path(target), data)
    return coded


def decompress_file(codec: Codec, source: AnyPath, target: AnyPath) -> CodedFile:
    """Decompress an `.elic` file into an image, which is written whole or not at all.

    Parameters
    ----------
    codec : Codec
        A codec that was loaded with its decoder.
    source : str or PathLike
        An `.elic` file.
    target : str or PathLike
        Image to write. Its suffix selects a lossless format: see `elic_runtime.images.WRITABLE`.

    Raises
    ------
    ContainerError, BundleError
        As `Codec.decompress` raises them.
    ImageError
        If images with this suffix are not written.
    OSError
        If a file cannot be read or written.

    Examples
    --------
    >>> coded = decompress_file(codec, folder / "cat.elic", folder / "cat.png")
    >>> from elic_runtime.images import read_image
    >>> read_image(folder / "cat.png").shape == (coded.height, coded.width, 3)
    True

    """
    target = Path(target)
    data, coded = decompress_data(codec, Path(source).read_bytes(), target.suffix)
    write_bytes(target, data)
    return coded


def read_info(data: bytes) -> ContainerInfo:
    """Read the facts of an `.elic` file. All its bytes are checked; no bundle is needed.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    ContainerError
        If the file is damaged.

    Examples
    --------
    >>> info = read_info((folder / "cat.elic").read_bytes())
    >>> info.arithmetic, info.width
    ('exact', 192)

    """
    container = parse(data)
    n_slices = len(container.tiles[0].slices)
    return ContainerInfo(
        grid=container.grid,
        size=len(data),
        arithmetic=container.arithmetic,
        fingerprint=container.fingerprint.hex(),
        step=container.step,
        metadata=container.metadata,
        z_bytes=sum(tile.z.size for tile in container.tiles),
        slice_bytes=tuple(sum(tile.slices[k].size for tile in container.tiles) for k in range(n_slices)),
    )


def compress_photograph(
    codec: Codec,
    photograph: Photograph,
    rate: float | Target = 1.0,
    *,
    keep: Collection[str] = ("icc",),
    tiles: bool = False,
    progress: Progress | None = None,
) -> tuple[bytes, CodedFile]:
    """Compress a photograph that was read into the bytes of an `.elic` file.

    Parameters
    ----------
    codec : Codec
        A codec that was loaded with its encoder.
    photograph : Photograph
        As `elic_runtime.images.read_photograph` returns it.
    rate : float or Target
        A step, as `Codec.compress` takes it, or a target, as `Codec.compress_to` takes it.
    keep : collection of str
        Which of the photograph's metadata the file keeps: `icc`, `exif`, `xmp`. Without `icc`, its colours are
        converted to sRGB.
    tiles, progress
        As `Codec.compress` takes them.

    Raises
    ------
    ImageError, CoderError, BundleError
        As `Codec.compress` raises them.
    TargetError
        As `Codec.compress_to` raises it.

    """
    start = time.perf_counter()
    if "icc" not in keep:
        photograph = in_srgb(photograph)
    metadata = photograph.metadata.only(keep)
    if isinstance(rate, Target):
        data = codec.compress_to(photograph.pixels, rate, tiles=tiles, metadata=metadata, progress=progress)
    else:
        data = codec.compress(photograph.pixels, step=rate, tiles=tiles, metadata=metadata, progress=progress)
    seconds = time.perf_counter() - start
    lost = [name.upper() for name, _ in photograph.metadata.items() if getattr(metadata, name) is None]
    coded = _coded(photograph.pixels, data, parse(data), seconds)
    return data, replace(coded, converted_from=photograph.converted_from, dropped=(*lost, *photograph.others))


def decompress_data(
    codec: Codec,
    data: bytes,
    suffix: str,
    *,
    region: Box | None = None,
    slices: int | None = None,
    partial: bool = False,
    progress: Progress | None = None,
) -> tuple[bytes, CodedFile]:
    """Decompress the bytes of an `.elic` file into the bytes of an image file.

    Parameters
    ----------
    codec : Codec
        A codec that was loaded with its decoder.
    data : bytes
        The `.elic` file.
    suffix : str
        Suffix of the image format, such as `.png`: see `elic_runtime.images.WRITABLE`.
    region, slices, partial, progress
        As `Codec.decompress` takes them.

    Raises
    ------
    ContainerError, BundleError
        As `Codec.decompress` raises them.
    ImageError
        If images with this suffix are not written, or if the region is not within the image.

    """
    start = time.perf_counter()
    image = codec.decompress(data, region=region, slices=slices, partial=partial, progress=progress)
    seconds = time.perf_counter() - start
    container = parse_prefix(data) if partial else parse(data)
    if slices is not None:
        container = container.first(slices)
    return _written(image, suffix, data, container, seconds, KINDS)


def thumbnail_data(
    codec: Codec, data: bytes, suffix: str, scale: int, *, partial: bool = False
) -> tuple[bytes, CodedFile]:
    """Decompress the bytes of an `.elic` file into the bytes of an image file with its thumbnail.

    Parameters
    ----------
    codec : Codec
        Any codec.
    data : bytes
        The `.elic` file.
    suffix : str
        Suffix of the image format, such as `.png`: see `elic_runtime.images.WRITABLE`.
    scale, partial
        As `Codec.thumbnail` takes them.

    Raises
    ------
    ContainerError, BundleError
        As `Codec.thumbnail` raises them.
    ImageError
        If images with this suffix are not written.

    """
    start = time.perf_counter()
    image = codec.thumbnail(data, scale, partial=partial)
    seconds = time.perf_counter() - start
    return _written(image, suffix, data, parse_prefix(data) if partial else parse(data), seconds, ("icc",))


def _written(
    image: Image, suffix: str, data: bytes, container: Container, seconds: float, kinds: Collection[str]
) -> tuple[bytes, CodedFile]:
    """Return an image file with these kinds of a container's metadata, and its facts."""
    written = encode_picture(image, suffix, container.metadata.only(kinds))
    coded = _coded(image, data, container, seconds)
    return written.data, replace(coded, converted_from=written.converted_from, dropped=written.dropped)


def _coded(image: Image, data: bytes, container: Container, seconds: float) -> CodedFile:
    height, width = image.shape[:2]
    passes = sum(tile.passes for tile in container.tiles)
    grid = container.grid
    every = grid.tiles * len(PASSES) * container.n_slices
    return CodedFile(width, height, grid.width * grid.height, len(data), seconds, container.step, passes, every)
