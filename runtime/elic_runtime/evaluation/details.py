"""One photograph shown closely: pictures, errors, where its bits are and where the time went, for the report page.

```
a coded photograph ─┬─ original, decoded, error ─┐
                    ├─ bits by position of y ────┼─ pictures/
                    ├─ what a beginning gives ───┘
                    └─ bytes by pass, seconds by stage
```
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from elic_runtime.codec import Codec
from elic_runtime.container import Container
from elic_runtime.container_reading import parse
from elic_runtime.errors import ElicError
from elic_runtime.evaluation.bit_maps import BitObserver
from elic_runtime.evaluation.coding import FileCoding
from elic_runtime.evaluation.points import Details, Preview, Stage, Stream
from elic_runtime.files import write_bytes
from elic_runtime.metrics import psnr
from elic_runtime.pixels import Image
from elic_runtime.shapes import LATENT_STRIDE

SHOWN = 1024
"""Height and width of the part, in the middle, that is shown of a larger photograph, in pixels."""

PREVIEW = 384
"""Longer side of a preview in pixels."""

ERROR_SCALE = 16.0
"""The mean absolute error, in 8-bit steps, that has the heat map's last colour."""

COLOURS = "cividis"
"""Matplotlib's name of the maps' colours, which people who do not see red and green apart see alike."""

_POSITIONS = ("anchors", "others")

T = TypeVar("T")


def describe(name: str, label: str, photograph: Image, coding: FileCoding, folder: Path) -> Details:
    """Write the pictures of a photograph, and return what the report says of it.

    Parameters
    ----------
    name : str
        Name of its file.
    label : str
        Of the bundle.
    photograph : ndarray
        uint8 [H, W, 3].
    coding : FileCoding
        The bundle's codec. The photograph is coded at the step that is nearest to the checkpoint's own.
    folder : Path
        Where to write the pictures.

    Raises
    ------
    ElicError
        If the photograph cannot be coded, or matplotlib is not installed.
    OSError
        If a picture cannot be written.

    """
    stem = hashlib.sha256(name.encode()).hexdigest()[:12]

    def keep(name: str, data: bytes) -> str:
        write_bytes(folder / f"{stem}-{name}", data)
        return f"{stem}-{name}"

    step = min(coding.steps, key=lambda step: abs(math.log(step)))
    data, encode = _timed(coding, lambda: coding.codec.compress(photograph, step=step))
    picture, decode = _timed(coding, lambda: coding.codec.decompress(data))
    container = parse(data)
    bits = bits_by_position(photograph, coding.codec, container)
    rows, columns = (_middle(size) for size in photograph.shape[:2])
    original, decoded = photograph[rows, columns], picture[rows, columns]
    error = np.abs(original.astype(np.int16) - decoded).mean(axis=2)
    height, width = original.shape[:2]
    return Details(
        image=name,
        codec=label,
        step=container.step,
        width=width,
        height=height,
        shown="" if original.shape == photograph.shape else f"the {width}x{height} pixels in the middle",
        original=keep("original.webp", _lossless(original)),
        decoded=keep("decoded.webp", _lossless(decoded)),
        error=keep("error.webp", _lossless(_coloured(error / ERROR_SCALE))),
        error_scale=ERROR_SCALE,
        bits=keep("bits.png", _png(_coloured(bits / (bits.max() or 1)))),
        bits_scale=float(bits.max()) / LATENT_STRIDE**2,
        streams=tuple(streams_of(container, len(data))),
        encode=encode,
        decode=decode,
        progressive=tuple(
            Preview(label=stream, share=share, psnr_db=quality, file=keep(f"{i:02}.jpg", preview))
            for i, (stream, share, quality, preview) in enumerate(_previews(photograph, coding.codec, data, container))
        ),
    )


def streams_of(container: Container, size: int) -> Iterator[Stream]:
    """Yield the parts of a file of `size` bytes, in order: the header first, then each stream, added over its tiles."""
    sizes = {"z": sum(len(tile.z.streams[0]) for tile in container.tiles)}
    for k in range(container.n_slices):
        for half, positions in enumerate(_POSITIONS):
            name = f"slice {k}, {positions}"
            sizes[name] = sum(len(tile.slices[k].streams[half]) for tile in container.tiles)
    yield Stream(label="header and checksums", bytes=size - sum(sizes.values()))
    yield from (Stream(label=label, bytes=n) for label, n in sizes.items())


def bits_by_position(photograph: Image, codec: Codec, container: Container) -> NDArray[np.float64]:
    """Return the ideal code length of y at each of its positions, in bits: float64 [H/16, W/16], rounded up."""
    grid = container.grid
    height, width = (-(-size // LATENT_STRIDE) for size in photograph.shape[:2])
    found = np.zeros((grid.rows * grid.tile_height // LATENT_STRIDE, grid.columns * grid.tile_width // LATENT_STRIDE))
    for rows, columns in grid:
        observer = BitObserver(codec.coder, codec.bundle.manifest.model, *grid.tile)
        observed = copy.copy(codec)  # other threads use the codec itself
        observed.coder = observer
        observed.compress(photograph[rows, columns], step=container.step)
        top, left = rows.start // LATENT_STRIDE, columns.start // LATENT_STRIDE
        found[top : top + observer.bits.shape[0], left : left + observer.bits.shape[1]] = observer.bits
    return found[:height, :width]


def _previews(
    photograph: Image, codec: Codec, data: bytes, container: Container
) -> Iterator[tuple[str, float, float | None, bytes]]:
    """Yield label, share of the bytes, PSNR and picture after z and each pass; nothing of a file of several tiles."""
    if container.grid.tiles > 1:
        return
    header, *streams = streams_of(container, len(data))
    done = header.bytes
    for stream, picture in zip(streams, codec.decompress_progressive(data), strict=True):
        done += stream.bytes
        quality = psnr(photograph, picture)
        yield stream.label, done / len(data), quality if math.isfinite(quality) else None, _preview(picture)


def _timed(coding: FileCoding, work: Callable[[], T]) -> tuple[T, tuple[Stage, ...]]:
    """Run something, and return how long each stage of it took: subgraphs, of which the context's are one, and others.

    What numpy and the container took is the rest.
    """
    coding.stopwatch.reset()
    start = time.perf_counter()
    result = work()
    whole, seconds = time.perf_counter() - start, dict(coding.stopwatch.seconds)
    context = [name for name in seconds if name.startswith("context")]
    stages = {"context": sum(seconds.pop(name) for name in context), **seconds}
    stages["rest"] = whole - sum(stages.values())
    return result, tuple(Stage(name=name, seconds=each) for name, each in stages.items())


def _middle(size: int) -> slice:
    start = max(0, size - SHOWN) // 2
    return slice(start, start + min(size, SHOWN))


def _coloured(values: NDArray[np.floating[Any]]) -> Image:
    """Return values from 0 to 1 in the colours of the maps: uint8 [H, W, 3]."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise ElicError("the report needs matplotlib: install the extra, elic-deploy[report]") from None
    coloured: Image = matplotlib.colormaps[COLOURS](np.clip(values, 0, 1), bytes=True)[..., :3]
    return np.ascontiguousarray(coloured)


def _lossless(image: Image) -> bytes:
    return _saved(Pillow.fromarray(image), "WEBP", lossless=True, quality=60, method=4)


def _png(image: Image) -> bytes:
    return _saved(Pillow.fromarray(image), "PNG", optimize=True)


def _preview(image: Image) -> bytes:
    picture = Pillow.fromarray(image)
    picture.thumbnail((PREVIEW, PREVIEW), Pillow.Resampling.LANCZOS)
    return _saved(picture, "JPEG", quality=85)


def _saved(picture: Pillow.Image, kind: str, **options: Any) -> bytes:
    picture.save(buffer := BytesIO(), kind, **options)
    return buffer.getvalue()
