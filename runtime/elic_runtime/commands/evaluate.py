"""`elic eval`: the distortion and the rate of photographs coded with a bundle, in PSNR and bits per pixel.

A no-entropy bundle is measured by its decoded image and its likelihoods, any other bundle by its files. The rate
includes the bits of padding, and is divided by the pixels of the photograph.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.batches import fill, groups
from elic_runtime.bundle import Bundle
from elic_runtime.codec import Codec
from elic_runtime.container_reading import parse
from elic_runtime.errors import BundleError
from elic_runtime.images import read_image
from elic_runtime.metrics import bits, format_psnr, psnr
from elic_runtime.pixels import Image, check_image, to_image, to_input
from elic_runtime.runners import RunnerFactory, load_runner, onnxruntime_factory
from elic_runtime.shapes import MAX_PIXELS
from elic_runtime.steps import nearest_step
from elic_runtime.tiles import TileGrid

Padding = Literal["bottom-right", "centre"]
"""Where an image is padded to a size that the graph takes; the padding repeats the border pixels.

Files are padded at the `bottom-right`. With `centre`, half of the padding, rounded down, comes before the image.
"""

Coded = tuple[Image, float | None, TileGrid]
"""A decoded image, its size in bits, which is None if the bundle does not show it, and the tiles that were coded."""

Code = Callable[[Image], Iterable[Coded]]
"""Codes an image at every step."""


@dataclass(frozen=True)
class EvalResult:
    """The result of one photograph.

    Parameters
    ----------
    image : str
        Name of the file.
    width, height : int
        Size of the photograph in pixels.
    psnr_db : float
        PSNR of the decoded image in dB; infinite if it equals the photograph.
    bpp : float, optional
        Bits per pixel; None if the bundle has no likelihoods.
    grid : TileGrid
        The size that the image was padded to, and the tiles that were coded on their own.
    step : float
        How coarsely the latent was rounded.

    """

    image: str
    width: int
    height: int
    psnr_db: float
    bpp: float | None
    grid: TileGrid
    step: float = 1.0

    @property
    def equal(self) -> bool:
        """Whether the decoded image equals the photograph, so that there is no PSNR."""
        return self.psnr_db == math.inf


@dataclass(frozen=True)
class Means:
    """Means over photographs.

    Parameters
    ----------
    step : float
        How coarsely their latents were rounded.
    psnr_db : float, optional
        Mean PSNR in dB of the decoded images that differ from their photographs; None if all are equal.
    bpp : float, optional
        Mean bits per pixel of the photographs whose rate is known; None if there are none.
    equal : int
        How many decoded images equal their photographs.

    """

    step: float
    psnr_db: float | None
    bpp: float | None
    equal: int


def evaluate(
    bundle: Bundle,
    images: Iterable[Path],
    padding: Padding = "bottom-right",
    factory: RunnerFactory | None = None,
    steps: Sequence[float] = (),
) -> list[EvalResult]:
    """Encode and decode photographs with a bundle.

    Parameters
    ----------
    bundle : Bundle
        A bundle of any form.
    images : iterable of Path
        Files of the photographs.
    padding : {"bottom-right", "centre"}
        Where an image is padded if the graph does not take its size.
    factory : RunnerFactory, optional
        Loads the subgraphs; by default into ONNX Runtime.
    steps : sequence of float
        How coarsely to round, one after the other. The default is 1, or the step of a no-entropy bundle.

    Raises
    ------
    ImageError
        If a photograph cannot be read.
    BundleError
        If the bundle cannot be run, `centre` is used with a bundle that codes files, or steps with one that does not.
    ElicError
        If a step is out of range.

    """
    factory = factory or onnxruntime_factory()
    if bundle.manifest.form == "no-entropy":
        if steps:
            raise BundleError(f"{bundle.folder}: a no-entropy graph has one step, its config's: export one for each")
        steps, code = [bundle.manifest.step], _graph(bundle, padding, factory)
    else:
        steps = [nearest_step(step) for step in steps] or [1.0]
        code = _files(bundle, padding, factory, steps)
    return [result for path in images for result in _results(path, code, steps)]


def _results(path: Path, code: Code, steps: Sequence[float]) -> Iterator[EvalResult]:
    image = read_image(path)
    height, width = image.shape[:2]
    for step, (decoded, size, grid) in zip(steps, code(image), strict=True):
        bpp = None if size is None else size / (height * width)
        yield EvalResult(path.name, width, height, psnr(image, decoded), bpp, grid, step)


def _files(bundle: Bundle, padding: Padding, factory: RunnerFactory, steps: Sequence[float]) -> Code:
    if padding != "bottom-right":
        raise BundleError(f"{bundle.folder}: files are padded at the bottom right only; a no-entropy bundle can centre")
    codec = Codec(bundle, factory, encode=True, decode=True, max_pixels=MAX_PIXELS)

    def code(image: Image) -> Iterator[Coded]:
        for step in steps:
            data = codec.compress(image, step=step)
            yield codec.decompress(data), 8.0 * len(data), parse(data).grid

    return code


def _graph(bundle: Bundle, padding: Padding, factory: RunnerFactory) -> Code:
    runner = load_runner(bundle, factory, "no_entropy")
    manifest = bundle.manifest
    rates = [t.role for t in manifest.subgraphs["no_entropy"].outputs if t.role != "x_hat"]

    def code(image: Image) -> Iterator[Coded]:
        check_image(image, MAX_PIXELS)
        grid = TileGrid.within(image.shape[0], image.shape[1], manifest.encoder)
        padded, corner = _pad(image, grid, padding)
        whole = TileGrid(padded.shape[0], padded.shape[1], grid.tile_height, grid.tile_width)
        size, decoded = 0.0, []
        for tiles in groups(whole.cut(padded), manifest.batch.min):
            x = fill(np.concatenate([to_input(tile) for tile in tiles]), manifest.batch.min)
            outputs = runner({"input": x})
            decoded += [to_image(x_hat) for x_hat in outputs["x_hat"][: len(tiles)]]
            size += sum(bits(outputs[name][: len(tiles)]) for name in rates)
        rows, columns = (slice(start, start + n) for start, n in zip(corner, image.shape[:2], strict=True))
        yield whole.join(decoded)[rows, columns], size if rates else None, whole

    return code


def _pad(image: Image, grid: TileGrid, padding: Padding) -> tuple[Image, tuple[int, int]]:
    """Pad an image to whole tiles. Returns also where its first row and column are in the padded image."""
    missing = (grid.rows * grid.tile_height - grid.height, grid.columns * grid.tile_width - grid.width)
    top, left = (n // 2 for n in missing) if padding == "centre" else (0, 0)
    sides = ((top, missing[0] - top), (left, missing[1] - left), (0, 0))
    return np.pad(image, sides, mode="edge"), (top, left)


def means(results: Sequence[EvalResult]) -> list[Means]:
    """Compute the mean PSNR and rate of each step, in the order in which they were tried.

    Decoded images that equal their photographs have no PSNR, and are counted.
    """
    return [_mean(step, [r for r in results if r.step == step]) for step in dict.fromkeys(r.step for r in results)]


def _mean(step: float, results: Sequence[EvalResult]) -> Means:
    psnrs = [result.psnr_db for result in results if not result.equal]
    rates = [result.bpp for result in results if result.bpp is not None]
    return Means(
        step=step,
        psnr_db=float(np.mean(psnrs)) if psnrs else None,
        bpp=float(np.mean(rates)) if rates else None,
        equal=len(results) - len(psnrs),
    )


def eval_facts(results: Sequence[EvalResult]) -> dict[str, Any]:
    """Return the results as data for JSON; `psnr_db` is null if `equal` is true."""
    images = [
        {
            "image": result.image,
            "width": result.width,
            "height": result.height,
            "step": result.step,
            "psnr_db": None if result.equal else result.psnr_db,
            "equal": result.equal,
            "bpp": result.bpp,
            "tiles": {"rows": grid.rows, "columns": grid.columns, "height": grid.tile_height, "width": grid.tile_width},
        }
        for result in results
        for grid in [result.grid]
    ]
    return {"images": images, "means": [asdict(mean) for mean in means(results)]}


def print_results(results: Sequence[EvalResult], console: Console) -> None:
    """Print the results as a table; the last rows are their means, one for each step."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("image", "size", "step", "PSNR dB", "bpp", "coded as"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for r in results:
        size, quality = f"{r.width}x{r.height}", format_psnr(r.psnr_db)
        table.add_row(escape(r.image), size, f"{r.step:.4g}", quality, _rate(r.bpp), _parts(r.grid))
    for mean in means(results):
        quality = "equal" if mean.psnr_db is None else format_psnr(mean.psnr_db)
        table.add_row("mean", "", f"{mean.step:.4g}", quality, _rate(mean.bpp))
    console.print(table)
    if equal := sum(result.equal for result in results):
        console.print(f"equal to their photographs, and not in the mean PSNR: {equal} of {len(results)}")


def _parts(grid: TileGrid) -> str:
    """Say how an image was padded and cut, such as `512x512` or `6 tiles of 512x512`, width first."""
    size = f"{grid.tile_width}x{grid.tile_height}"
    return size if grid.tiles == 1 else f"{grid.tiles} tiles of {size}"


def _rate(bpp: float | None) -> str:
    return "" if bpp is None else f"{bpp:.4f}"
