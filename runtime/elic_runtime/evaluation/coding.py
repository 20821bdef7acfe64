"""Photographs through a bundle: what it makes of them at every step, and how long that takes.

A no-entropy bundle is measured by its decoded picture and its likelihoods, any other bundle by its files. The rate
includes the bits of padding.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from elic_runtime.batches import fill, groups
from elic_runtime.bundle import Bundle
from elic_runtime.codec import Codec
from elic_runtime.container_reading import parse
from elic_runtime.errors import BundleError
from elic_runtime.metrics import bits
from elic_runtime.pixels import Image, check_image, to_image, to_input
from elic_runtime.runners import RunnerFactory, load_runner
from elic_runtime.shapes import MAX_PIXELS
from elic_runtime.steps import nearest_step
from elic_runtime.stopwatch import Stopwatch
from elic_runtime.tiles import TileGrid

Padding = Literal["bottom-right", "centre"]
"""Where an image is padded to a size that the graph takes; the padding repeats the border pixels.

Files are padded at the `bottom-right`. With `centre`, half of the padding, rounded down, comes before the image.
"""


@dataclass(frozen=True)
class Coded:
    """A photograph after a bundle has coded it at one step.

    Parameters
    ----------
    step : float
        How coarsely the latent was rounded.
    picture : ndarray
        The decoded picture: uint8 [H, W, 3].
    bits : float, optional
        Its rate; None if the bundle does not show it.
    grid : TileGrid
        How it was padded and cut.
    data : bytes, optional
        Its file; None of a no-entropy bundle.
    encode_s, decode_s : float, optional
        Seconds that the codec took; None of a no-entropy bundle, which does both at once.

    """

    step: float
    picture: Image
    bits: float | None
    grid: TileGrid
    data: bytes | None = None
    encode_s: float | None = None
    decode_s: float | None = None


class Coding(Protocol):
    """Codes photographs at the steps that it was made for."""

    steps: Sequence[float]

    def __call__(self, image: Image) -> Iterator[Coded]:
        """Yield a photograph, uint8 [H, W, 3], after coding it at every step, in order."""
        ...


def open_coding(bundle: Bundle, factory: RunnerFactory, padding: Padding, steps: Sequence[float]) -> Coding:
    """Load a bundle for an evaluation.

    Parameters
    ----------
    bundle : Bundle
        A bundle of any form.
    factory : RunnerFactory
        Loads the subgraphs.
    padding : {"bottom-right", "centre"}
        Where an image is padded if the graph does not take its size.
    steps : sequence of float
        How coarsely to round, one after the other. The default is 1, or the step of a no-entropy bundle.

    Raises
    ------
    BundleError
        If the bundle cannot be run, `centre` is used with a bundle that codes files, or steps with one that does not.
    ElicError
        If a step is out of range.

    """
    if bundle.manifest.form == "no-entropy":
        if steps:
            raise BundleError(f"{bundle.folder}: a no-entropy graph has one step, its config's: export one for each")
        return GraphCoding(bundle, factory, padding)
    if padding != "bottom-right":
        raise BundleError(f"{bundle.folder}: files are padded at the bottom right only; a no-entropy bundle can centre")
    return FileCoding(bundle, factory, [nearest_step(step) for step in steps] or [1.0])


class FileCoding:
    """Codes photographs as files, and decodes the files.

    Attributes
    ----------
    steps : sequence of float
        At which steps.
    codec : Codec
        The bundle's codec.
    stopwatch : Stopwatch
        What its subgraphs and its entropy coder took, of the last call.

    """

    def __init__(self, bundle: Bundle, factory: RunnerFactory, steps: Sequence[float]) -> None:
        self.steps, self.stopwatch = steps, Stopwatch()
        self.codec = Codec(bundle, self.stopwatch.factory(factory), encode=True, decode=True, max_pixels=MAX_PIXELS)
        self.codec.coder = self.stopwatch.coder(self.codec.coder)

    def __call__(self, image: Image) -> Iterator[Coded]:
        """Yield a photograph after coding it at every step."""
        for step in self.steps:
            start = time.perf_counter()
            data = self.codec.compress(image, step=step)
            middle = time.perf_counter()
            picture = self.codec.decompress(data)
            end = time.perf_counter()
            yield Coded(step, picture, 8.0 * len(data), parse(data).grid, data, middle - start, end - middle)


class GraphCoding:
    """Runs photographs through a no-entropy graph."""

    def __init__(self, bundle: Bundle, factory: RunnerFactory, padding: Padding) -> None:
        self._manifest, self._padding = bundle.manifest, padding
        self._run = load_runner(bundle, factory, "no_entropy")
        outputs = self._manifest.subgraphs["no_entropy"].outputs
        self._rates = [tensor.role for tensor in outputs if tensor.role != "x_hat"]
        self.steps: Sequence[float] = [self._manifest.step]

    def __call__(self, image: Image) -> Iterator[Coded]:
        """Yield a photograph after the graph has coded it."""
        check_image(image, MAX_PIXELS)
        batch, grid = self._manifest.batch.min, TileGrid.within(image.shape[0], image.shape[1], self._manifest.encoder)
        padded, corner = _pad(image, grid, self._padding)
        whole = TileGrid(padded.shape[0], padded.shape[1], grid.tile_height, grid.tile_width)
        size, decoded = 0.0, []
        for tiles in groups(whole.cut(padded), batch):
            outputs = self._run({"input": fill(np.concatenate([to_input(tile) for tile in tiles]), batch)})
            decoded += [to_image(x_hat) for x_hat in outputs["x_hat"][: len(tiles)]]
            size += sum(bits(outputs[name][: len(tiles)]) for name in self._rates)
        rows, columns = (slice(start, start + n) for start, n in zip(corner, image.shape[:2], strict=True))
        yield Coded(self.steps[0], whole.join(decoded)[rows, columns], size if self._rates else None, whole)


def _pad(image: Image, grid: TileGrid, padding: Padding) -> tuple[Image, tuple[int, int]]:
    """Pad an image to whole tiles. Returns also where its first row and column are in the padded image."""
    missing = (grid.rows * grid.tile_height - grid.height, grid.columns * grid.tile_width - grid.width)
    top, left = (n // 2 for n in missing) if padding == "centre" else (0, 0)
    sides = ((top, missing[0] - top), (left, missing[1] - left), (0, 0))
    return np.pad(image, sides, mode="edge"), (top, left)
