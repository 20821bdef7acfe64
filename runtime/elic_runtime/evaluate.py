"""`elic eval`: what a bundle makes of photographs, in PSNR and bits per pixel.

A no-entropy bundle is asked for its picture and its likelihoods, a codec's bundle for
its real files. The rate counts padding too, per pixel of the photograph.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.bundle import Bundle
from elic_runtime.codec import Codec, check_image, to_image, to_input
from elic_runtime.container import MAX_PIXELS
from elic_runtime.errors import BundleError
from elic_runtime.images import read_image
from elic_runtime.runners import RunnerFactory, load_runner, onnxruntime_factory
from elic_runtime.tiles import Image, TileGrid, fill, groups

Padding = Literal["bottom-right", "centre"]
"""Where an image is continued that is no multiple of 64, or smaller than the graph's shape: by its border pixels.

`bottom-right` is what files have; `centre` puts half of it (the smaller half) before the image.
"""

PADDINGS: tuple[Padding, ...] = get_args(Padding)

Coded = tuple[Image, float | None]
"""A decoded image and its bits, None if these are not known."""


@dataclass(frozen=True)
class EvalResult:
    """One photograph. bpp: None if the bundle gives no likelihoods."""

    image: str
    width: int
    height: int
    psnr_db: float
    bpp: float | None


def evaluate(
    bundle: Bundle,
    images: Iterable[Path],
    padding: Padding = "bottom-right",
    factory: RunnerFactory | None = None,
) -> list[EvalResult]:
    """Ask a bundle for each photograph.

    Raises ImageError, BundleError; BundleError too for centred padding of a codec's bundle, whose files have none.
    """
    factory = factory or onnxruntime_factory()
    code = (
        _graph(bundle, padding, factory) if bundle.manifest.form == "no-entropy" else _files(bundle, padding, factory)
    )
    return [_result(path, code) for path in images]


def psnr(expected: Image, found: Image) -> float:
    """PSNR in dB of two uint8 pictures; 999 if they are equal."""
    mse = float(((expected.astype(np.float64) - found) ** 2).mean())
    return float(10 * np.log10(255**2 / mse)) if mse else 999.0


def bits(likelihoods: NDArray[np.float32]) -> float:
    """Ideal code length of symbols of these likelihoods; infinite if one is 0."""
    with np.errstate(divide="ignore"):
        return -float(np.log2(likelihoods.astype(np.float64)).sum())


def _result(path: Path, code: Callable[[Image], Coded]) -> EvalResult:
    image = read_image(path)
    height, width = image.shape[:2]
    decoded, size = code(image)
    return EvalResult(path.name, width, height, psnr(image, decoded), None if size is None else size / (height * width))


def _files(bundle: Bundle, padding: Padding, factory: RunnerFactory) -> Callable[[Image], Coded]:
    if padding != "bottom-right":
        raise BundleError(f"{bundle.folder}: files are padded at the bottom right only; a no-entropy bundle can centre")
    codec = Codec.load(bundle.folder, runner=factory)

    def code(image: Image) -> Coded:
        data = codec.compress(image)
        return codec.decompress(data), 8.0 * len(data)

    return code


def _graph(bundle: Bundle, padding: Padding, factory: RunnerFactory) -> Callable[[Image], Coded]:
    runner = load_runner(bundle, factory, "no_entropy")
    manifest = bundle.manifest
    rates = [t.role for t in manifest.subgraphs["no_entropy"].outputs if t.role != "x_hat"]

    def code(image: Image) -> Coded:
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
        return whole.join(decoded)[rows, columns], size if rates else None

    return code


def _pad(image: Image, grid: TileGrid, padding: Padding) -> tuple[Image, tuple[int, int]]:
    """The image continued to whole tiles, and where its first row and column are in it."""
    missing = (grid.rows * grid.tile_height - grid.height, grid.columns * grid.tile_width - grid.width)
    top, left = (n // 2 for n in missing) if padding == "centre" else (0, 0)
    sides = ((top, missing[0] - top), (left, missing[1] - left), (0, 0))
    return np.pad(image, sides, mode="edge"), (top, left)


def means(results: Sequence[EvalResult]) -> tuple[float, float | None]:
    """Mean PSNR in dB, and mean bpp if it is known, over images."""
    rates = [result.bpp for result in results if result.bpp is not None]
    return float(np.mean([result.psnr_db for result in results])), float(np.mean(rates)) if rates else None


def print_results(results: Sequence[EvalResult], console: Console) -> None:
    """The results as a table, their mean last."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("image", "size", "PSNR dB", "bpp"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for r in results:
        table.add_row(escape(r.image), f"{r.width}x{r.height}", f"{r.psnr_db:.2f}", _rate(r.bpp))
    mean_psnr, mean_bpp = means(results)
    table.add_row("mean", "", f"{mean_psnr:.2f}", _rate(mean_bpp))
    console.print(table)


def _rate(bpp: float | None) -> str:
    return "" if bpp is None else f"{bpp:.4f}"
