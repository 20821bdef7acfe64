"""`elic eval`: what a bundle makes of photographs, in PSNR and bits per pixel.

A no-entropy bundle is asked for its picture and its likelihoods, a codec's bundle for
its real files. The rate counts padding too, per pixel of the photograph.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.bundle import Bundle
from elic_runtime.codec import Codec
from elic_runtime.container import MAX_PIXELS
from elic_runtime.errors import BundleError
from elic_runtime.images import read_image
from elic_runtime.metrics import bits, format_psnr, psnr
from elic_runtime.pixels import check_image, to_image, to_input
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
    """One photograph.

    psnr_db: infinite if the decoded picture equals it.
    bpp: None if the bundle gives no likelihoods.
    """

    image: str
    width: int
    height: int
    psnr_db: float
    bpp: float | None

    @property
    def equal(self) -> bool:
        """Whether the decoded picture is the photograph itself, so that it has no PSNR."""
        return self.psnr_db == math.inf


@dataclass(frozen=True)
class Means:
    """Over photographs.

    psnr_db: of those that were decoded otherwise than they are; None if all are equal.
    bpp: of those whose rate is known; None if there is none.
    equal: how many were decoded as they are.
    """

    psnr_db: float | None
    bpp: float | None
    equal: int


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


def means(results: Sequence[EvalResult]) -> Means:
    """Mean PSNR and rate. A picture that equals the photograph has no PSNR to average: it is counted instead."""
    psnrs = [result.psnr_db for result in results if not result.equal]
    rates = [result.bpp for result in results if result.bpp is not None]
    return Means(
        psnr_db=float(np.mean(psnrs)) if psnrs else None,
        bpp=float(np.mean(rates)) if rates else None,
        equal=len(results) - len(psnrs),
    )


def eval_facts(results: Sequence[EvalResult]) -> dict[str, Any]:
    """The results for scripts: `psnr_db` is null where `equal` says that there is no error."""
    images = [
        {
            "image": result.image,
            "width": result.width,
            "height": result.height,
            "psnr_db": None if result.equal else result.psnr_db,
            "equal": result.equal,
            "bpp": result.bpp,
        }
        for result in results
    ]
    return {"images": images, "mean": asdict(means(results))}


def print_results(results: Sequence[EvalResult], console: Console) -> None:
    """The results as a table, their mean last."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("image", "size", "PSNR dB", "bpp"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for r in results:
        table.add_row(escape(r.image), f"{r.width}x{r.height}", format_psnr(r.psnr_db), _rate(r.bpp))
    mean = means(results)
    table.add_row("mean", "", "equal" if mean.psnr_db is None else format_psnr(mean.psnr_db), _rate(mean.bpp))
    console.print(table)
    if mean.equal:
        console.print(f"equal to their photographs, and not in the mean PSNR: {mean.equal} of {len(results)}")


def _rate(bpp: float | None) -> str:
    return "" if bpp is None else f"{bpp:.4f}"
