"""Codecs that any user has, to compare with: JPEG, WebP, AVIF and JPEG XL, as far as Pillow writes them here.

```
photograph, wanted sizes ─ match ─ files of nearly these sizes ─ decode, measure ─ points
```

Each codec is used as its users do by default, but for the effort and for JPEG's tables, whose best choice costs little.
Files hold no metadata, and encoding one and the same picture always gives the same bytes.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import features

from elic_runtime.errors import ElicError
from elic_runtime.evaluation.measures import measure
from elic_runtime.evaluation.points import Point
from elic_runtime.images.quiet import quiet
from elic_runtime.pixels import Image


@dataclass(frozen=True)
class Anchor:
    """A codec to compare with.

    Parameters
    ----------
    name : str
        Its name for people.
    version : str
        The library that codes, and its version.
    settings : str
        How it is used, for people.
    lowest, highest : int
        The range of its quality.
    format : str
        Pillow's name of it.
    options : mapping of str to object
        What Pillow's `save` takes besides the quality.

    """

    name: str
    version: str
    settings: str
    lowest: int
    highest: int
    format: str
    options: Mapping[str, Any] = field(hash=False)

    def encode(self, image: Image, quality: int) -> bytes:
        """Return the file of a picture, uint8 [H, W, 3]. Raises ElicError if the format does not hold it."""
        buffer = BytesIO()
        try:
            PillowImage.fromarray(image).save(buffer, self.format, quality=quality, **self.options)
        except (OSError, RuntimeError, ValueError) as error:
            height, width = image.shape[:2]
            raise ElicError(f"{self.name} does not take a picture of {width}x{height}: {error}") from None
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image:
        """Return the picture of a file: uint8 [H, W, 3]."""
        with quiet(), PillowImage.open(BytesIO(data), formats=(self.format,)) as file:
            return np.asarray(file.convert("RGB"))


def _jpeg() -> Anchor | None:
    if not features.check("jpg"):
        return None
    turbo = features.version("libjpeg_turbo")
    library = "mozjpeg" if features.check("mozjpeg") else "libjpeg-turbo"
    made_by = f"{library} {turbo}" if turbo else f"libjpeg {features.version('jpg')}"
    settings = "chroma 4:2:0, progressive, optimized Huffman tables"
    options = {"subsampling": "4:2:0", "progressive": True, "optimize": True}
    return Anchor("JPEG", made_by, settings, 1, 100, "JPEG", options)


def _webp() -> Anchor | None:
    if not features.check("webp"):
        return None
    made_by = f"libwebp {features.version('webp')}"
    return Anchor("WebP", made_by, "lossy (chroma 4:2:0), method 6", 0, 100, "WEBP", {"method": 6})


def _avif() -> Anchor | None:
    if not features.check("avif"):
        return None
    # Pillow cuts a picture into as many tiles as there are threads: with one, the file is the same on every machine.
    options = {"subsampling": "4:2:0", "speed": 6, "max_threads": 1}
    made_by = f"libavif {features.version('avif')}"
    return Anchor("AVIF", made_by, "chroma 4:2:0, speed 6, one tile", 0, 100, "AVIF", options)


def _jpeg_xl() -> Anchor | None:
    try:
        import_module("pillow_jxl")  # adds the format to Pillow
    except ImportError:
        return None
    # Quality 100 would be lossless, and fails (pillow-jxl-plugin 1.3.8). One thread, as of the other encoders.
    made_by = f"pillow-jxl-plugin {version('pillow-jxl-plugin')}"
    return Anchor("JPEG XL", made_by, "effort 7", 0, 99, "JXL", {"effort": 7, "num_threads": 0})


_ANCHORS: Mapping[str, Callable[[], Anchor | None]] = {
    "JPEG": _jpeg,
    "WebP": _webp,
    "AVIF": _avif,
    "JPEG XL": _jpeg_xl,
}
"""What makes each codec, which is None if it is not installed."""

_SHORT = {"jpg": "jpeg", "jxl": "jpegxl"}
"""Other names that users have for them."""


def available() -> tuple[Anchor, ...]:
    """Return the codecs that are installed."""
    return tuple(anchor for make in _ANCHORS.values() if (anchor := make()) is not None)


def find_anchors(names: Sequence[str]) -> tuple[Anchor, ...]:
    """Return codecs by their names.

    Parameters
    ----------
    names : sequence of str
        Names as in `Anchor`, in any case, with or without the space; `jpg` and `jxl` too.

    Returns
    -------
    tuple of Anchor
        In the order of their names, each once.

    Raises
    ------
    ElicError
        If there is no such codec, or it is not installed.

    """
    return tuple(_find(name) for name in dict.fromkeys(_known(name) for name in names))


def _known(name: str) -> str:
    plain = _plain(name)
    for known in _ANCHORS:
        if _plain(known) == _SHORT.get(plain, plain):
            return known
    raise ElicError(f"{name!r} is no codec to compare with: known are {', '.join(_ANCHORS)}")


def _plain(name: str) -> str:
    return "".join(name.lower().replace("-", " ").split())


def _find(name: str) -> Anchor:
    anchor = _ANCHORS[name]()
    if anchor is None:
        raise ElicError(f"{name} cannot be written here: install the extra, pip install 'elic-deploy[jxl]'")
    return anchor


@dataclass(frozen=True)
class AnchorFile:
    """A picture as a file of a codec.

    Parameters
    ----------
    quality : int
        The quality it was encoded with.
    data : bytes
        The file.
    encode_s : float
        Seconds that encoding took.

    """

    quality: int
    data: bytes
    encode_s: float

    def apart(self, size: int) -> float:
        """Return how far its size is from another: the logarithm of their ratio, without its sign."""
        return abs(math.log(len(self.data) / size))


def match(anchor: Anchor, image: Image, sizes: Iterable[int]) -> list[AnchorFile]:
    """Encode a picture to sizes.

    Parameters
    ----------
    anchor : Anchor
        The codec.
    image : ndarray
        uint8 [H, W, 3].
    sizes : iterable of int
        Wanted sizes in bytes.

    Returns
    -------
    list of AnchorFile
        For each size the file that is nearest to it in ratio, or nearly so where a higher quality gives a smaller file.
        Sizes out of the codec's reach get the same file.

    Raises
    ------
    ElicError
        If the format does not hold the picture.

    """
    files: dict[int, AnchorFile] = {}
    return [_nearest(anchor, image, size, files) for size in sizes]


_INTERPOLATED = 4
"""How many guesses are interpolated before the range is halved: a size of a photograph takes three or so."""


def _nearest(anchor: Anchor, image: Image, size: int, files: dict[int, AnchorFile]) -> AnchorFile:
    """Search the quality of a size, from the files that earlier searches left, and leave all that it encodes."""
    below = max((q for q, file in files.items() if len(file.data) <= size), default=anchor.lowest - 1)
    above = min((q for q, file in files.items() if len(file.data) > size and q > below), default=anchor.highest + 1)
    guesses = 0
    while above - below > 1:
        guess = (below + above) // 2
        if below in files and above in files and guesses < _INTERPOLATED:
            guess = _interpolate(files[below], files[above], size)
        guesses += 1
        start = time.perf_counter()
        data = anchor.encode(image, guess)
        files[guess] = AnchorFile(guess, data, time.perf_counter() - start)
        if len(data) <= size:
            below = guess
        else:
            above = guess
    return min(files.values(), key=lambda file: (file.apart(size), file.quality))


def _interpolate(low: AnchorFile, high: AnchorFile, size: int) -> int:
    """Return the quality between two files that would have the size if its logarithm grew evenly."""
    share = low.apart(size) / low.apart(len(high.data))
    guess = low.quality + round(share * (high.quality - low.quality))
    return min(max(guess, low.quality + 1), high.quality - 1)


def points_of_anchors(
    anchors: Sequence[Anchor], name: str, image: Image, sizes: Mapping[float, int], *, perceptual: bool
) -> list[Point]:
    """Measure codecs at the sizes that a bundle's files have.

    Parameters
    ----------
    anchors : sequence of Anchor
        The codecs.
    name : str
        Name of the photograph's file.
    image : ndarray
        The photograph: uint8 [H, W, 3].
    sizes : mapping of float to int
        Sizes of the bundle's files in bytes by their steps.
    perceptual : bool
        Whether to compute MS-SSIM and SSIMULACRA2 too.

    Returns
    -------
    list of Point
        Codec by codec, one point for each step, in order.

    Raises
    ------
    ElicError
        If a format does not hold the photograph.

    """
    points = []
    for anchor in anchors:
        files = match(anchor, image, sizes.values())
        different = {file.quality: file for file in files}
        found = {q: _point(anchor, name, image, file, perceptual) for q, file in different.items()}
        points += [
            found[file.quality].model_copy(update={"step": step}) for step, file in zip(sizes, files, strict=True)
        ]
    return points


def _point(anchor: Anchor, name: str, image: Image, file: AnchorFile, perceptual: bool) -> Point:
    start = time.perf_counter()
    decoded = anchor.decode(file.data)
    decode_s = time.perf_counter() - start
    found = measure(image, decoded, perceptual=perceptual)
    height, width = image.shape[:2]
    return Point(
        image=name,
        codec=anchor.name,
        setting=f"quality {file.quality}",
        quality=file.quality,
        width=width,
        height=height,
        bytes=len(file.data),
        bpp=8 * len(file.data) / (height * width),
        psnr_db=found.psnr_db,
        equal=found.equal,
        ms_ssim=found.ms_ssim,
        ssimulacra2=found.ssimulacra2,
        encode_s=file.encode_s,
        decode_s=decode_s,
    )
