"""`elic eval`: rate and distortion of photographs coded with bundles, as a table, as data, and as a report.

Where the data come from and go to is drawn in `elic_runtime/evaluation`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.bundle import Bundle
from elic_runtime.commands.console import describe, fail, progress
from elic_runtime.engines import Engine
from elic_runtime.errors import ElicError
from elic_runtime.evaluation.anchors import available, find_anchors
from elic_runtime.evaluation.coding import Padding
from elic_runtime.evaluation.curves import Curve, Delta, MeanPoint, Verdict, deltas, judge, mean_curves
from elic_runtime.evaluation.measuring import Measured, Measurer, Plan, Task
from elic_runtime.evaluation.points import BundleFacts, Details, Evaluation, Grid, ImageResult, Point
from elic_runtime.evaluation.store import PAGE, PICTURES, Store, write_tables
from elic_runtime.files import sha256_file, write_bytes
from elic_runtime.images.resizing import parse_size
from elic_runtime.machine import cores, processor
from elic_runtime.manifest_file import MANIFEST_NAME
from elic_runtime.metrics import format_psnr

REPORTED_STEPS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Steps of a report, unless it is told others."""


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Parameters
    ----------
    evaluation : Evaluation
        What was measured.
    details : tuple of Details
        Of the photographs that are shown closely.
    curves, deltas, verdict
        What it comes to.

    """

    evaluation: Evaluation
    details: tuple[Details, ...]
    curves: tuple[Curve, ...]
    deltas: tuple[Delta, ...]
    verdict: Verdict

    def facts(self) -> dict[str, Any]:
        """Return everything but the details as data for JSON."""
        return self.evaluation.model_dump(mode="json") | {
            "curves": [curve.model_dump(mode="json") for curve in self.curves],
            "bd_rates": [delta.model_dump(mode="json") for delta in self.deltas],
            "verdict": self.verdict.model_dump(mode="json"),
        }


def labelled(folders: Sequence[Path]) -> dict[str, Path]:
    """Name bundles by their folders, with as many folders above as it takes to tell them apart.

    Raises ElicError if a folder is named twice.
    """
    whole = [folder.resolve() for folder in folders]
    for path in whole:
        if whole.count(path) > 1:
            raise ElicError(f"{path}: named twice")
    parts = 1
    while len(labels := {"/".join(path.parts[-parts:]): path for path in whole}) < len(whole):
        parts += 1
    return labels


def make_plan(
    bundles: Mapping[str, Path],
    *,
    steps: tuple[float, ...] | None,
    anchors: str | None,
    resized: str | None,
    out: Path | None,
    padding: Padding,
    runner: str,
    threads: int,
) -> Plan:
    """Return the plan that options ask for. Raises ElicError for anchors or a size that do not exist."""
    names = [] if anchors == "none" else [name.strip() for name in (anchors or "").split(",") if name.strip()]
    everything = anchors is None and out is not None
    files = any(Bundle(folder).manifest.form != "no-entropy" for folder in bundles.values())
    found = (available() if files else ()) if everything else find_anchors(names)
    default = REPORTED_STEPS if out is not None and files else ()
    return Plan(
        bundles=dict(bundles),
        steps=default if steps is None else steps,
        padding=padding,
        runner=runner,
        threads=threads,
        resize=None if resized is None else parse_size(resized),
        anchors=tuple(anchor.name for anchor in found),
        perceptual=out is not None,
        pictures=None if out is None else out / PICTURES,
    )


def evaluate(
    plan: Plan,
    photographs: Sequence[Path],
    engine: Engine,
    *,
    out: Path | None = None,
    closely: int = 0,
    anchor: str | None = None,
    fresh: bool = False,
) -> Report:
    """Measure photographs.

    Parameters
    ----------
    plan : Plan
        What to measure. A bundle that cannot be run is found out before the first photograph is read.
    photographs : sequence of Path
        Their files. One that cannot be read or coded is reported, and left out.
    engine : Engine
        What works on several at once.
    out : Path, optional
        Folder of the report, where results are kept as they come, and found by a second run.
    closely : int
        How many photographs, the first ones, the report shows closely.
    anchor : str, optional
        Which codec the others are compared with.
    fresh : bool
        Whether to overwrite a report of another evaluation.

    Raises
    ------
    ElicError
        If a bundle, a runner or an anchor cannot be used, or `out` holds another evaluation.

    """
    bundles = {label: Bundle(folder) for label, folder in plan.bundles.items()}
    anchor = anchor or next(iter(plan.anchors), None)
    if anchor not in (None, *bundles, *plan.anchors):
        names = ", ".join([*bundles, *plan.anchors])
        raise ElicError(f"{anchor}: no such codec to compare with: choose one of {names}")
    store = None if out is None else Store(out, _identity(plan), fresh=fresh)
    tasks = [Task(path, closely=i < closely and out is not None) for i, path in enumerate(photographs)]
    measured = _measure(plan, tasks, engine, store)
    evaluation = Evaluation(
        machine=f"{processor()}, {plan.threads or cores()} threads",
        bundles=tuple(_facts(label, bundle, plan.runner) for label, bundle in bundles.items()),
        anchors=plan.anchors,
        steps=tuple(dict.fromkeys(p.step for m in measured for p in m.result.points if p.step is not None)),
        resize=None if plan.resize is None else f"{plan.resize[0]}x{plan.resize[1]}",
        images=tuple(m.result for m in measured),
    )
    compared = () if anchor is None else tuple(deltas(evaluation, anchor))
    return Report(
        evaluation,
        tuple(m.details for m in measured if m.details is not None),
        tuple(mean_curves(evaluation.images)),
        compared,
        judge(evaluation, compared),
    )


def write_report(report: Report, bundles: Mapping[str, Path], out: Path) -> None:
    """Write `results.json`, `results.csv` and `report.html` into a folder. Raises ElicError or OSError."""
    from elic_runtime.reports.bundle_graph import draw_bundle, file_sizes
    from elic_runtime.reports.page import render_report

    opened = {label: Bundle(folder) for label, folder in bundles.items()}
    graphs = {label: draw_bundle(bundle.manifest, file_sizes(bundle)) for label, bundle in opened.items()}
    points = (point for image in report.evaluation.images for point in image.points)
    write_tables(out, report.facts(), points)
    page = render_report(
        report.evaluation, report.curves, report.deltas, report.verdict, report.details, graphs, out / PICTURES
    )
    write_bytes(out / PAGE, page.encode())


def _measure(plan: Plan, tasks: Sequence[Task], engine: Engine, store: Store | None) -> list[Measured]:
    """Measure what the store does not have, and return all of it in order."""
    digests = {} if store is None else {task: sha256_file(task.path) for task in tasks if task.path.is_file()}
    found: dict[Task, Measured] = {}
    for task, digest in digests.items():
        known = store and store.find(task.path.name, digest, closely=task.closely)
        if known:
            found[task] = known
    left = progress([task for task in tasks if task not in found], "eval")
    for task, outcome in engine.run(left, partial(Measurer, plan)):
        try:
            found[task] = outcome.result()
        except (ElicError, OSError) as error:
            message = describe(error)
            fail(message if task.path.name in message else f"{task.path}: {message}")
            found[task] = Measured(ImageResult(image=task.path.name, error=message))
        else:
            if store is not None:
                store.add(digests[task], found[task], closely=task.closely)
    return [found[task] for task in tasks]


def _identity(plan: Plan) -> dict[str, Any]:
    """Return what tells this evaluation from others, as data for JSON."""
    return {
        "bundles": {label: sha256_file(folder / MANIFEST_NAME) for label, folder in plan.bundles.items()},
        "steps": plan.steps,
        "padding": plan.padding,
        "runner": plan.runner,
        "resize": plan.resize,
        "anchors": {anchor.name: anchor.version for anchor in find_anchors(plan.anchors)},
        "perceptual": plan.perceptual,
    }


def _facts(label: str, bundle: Bundle, runner: str) -> BundleFacts:
    manifest = bundle.manifest
    return BundleFacts(
        label=label,
        form=manifest.form,
        shape=str(manifest.encoder),
        precision=manifest.precision,
        arithmetic=manifest.arithmetic,
        checkpoint_sha256=manifest.checkpoint.sha256,
        fingerprint=manifest.fingerprint,
        runner=runner,
    )


def print_report(report: Report, console: Console) -> None:
    """Print the results as a table; the last rows are the means of each codec, one for each step."""
    several = len(report.curves) > 1
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("image", "size", *(["codec"] if several else []), "step", "PSNR dB", "bpp", "coded as"):
        table.add_column(column, justify="left" if column in ("image", "codec") else "right")

    def row(first: str, size: str, codec: str, point: Point | MeanPoint, quality: str, parts: str = "") -> None:
        step = "" if point.step is None else f"{point.step:.4g}"
        rate = "" if point.bpp is None else f"{point.bpp:.4f}"
        table.add_row(first, size, *([escape(codec)] if several else []), step, quality, rate, parts)

    for p in (point for image in report.evaluation.images for point in image.points):
        parts = "" if p.grid is None else _parts(p.grid)
        row(escape(p.image), f"{p.width}x{p.height}", p.codec, p, _quality(p.psnr_db), parts or p.setting)
    for curve in report.curves:
        for mean in curve.points:
            row("mean", "", curve.codec, mean, _quality(mean.psnr_db))
    console.print(table)
    points = [point for image in report.evaluation.images for point in image.points]
    if equal := sum(point.equal for point in points):
        console.print(f"equal to their photographs, and not in the mean PSNR: {equal} of {len(points)}")
    _print_deltas(report, console)


def print_means(report: Report, console: Console, page: Path) -> None:
    """Print the means of each codec, what they come to, and where the page is that shows the rest."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("codec")
    for column in ("step", "bpp", "PSNR dB", "MS-SSIM", "SSIMULACRA2"):
        table.add_column(column, justify="right")
    for curve in report.curves:
        for mean in curve.points:
            measures = (mean.bpp, 4), (mean.psnr_db, 2), (mean.ms_ssim, 4), (mean.ssimulacra2, 1)
            cells = ("" if value is None else f"{value:.{digits}f}" for value, digits in measures)
            table.add_row(escape(curve.codec), "" if mean.step is None else f"{mean.step:.4g}", *cells)
    console.print(table)
    _print_deltas(report, console)
    console.print(f"{escape(str(page))}: {escape(report.verdict.sentence)}", soft_wrap=True)


def _print_deltas(report: Report, console: Console) -> None:
    for delta in report.deltas:
        if delta.bd_rate_percent is not None:
            rate = f"{delta.bd_rate_percent:+.1f} %, over {delta.images} photograph{'s' if delta.images > 1 else ''}"
            console.print(f"BD-rate of {escape(delta.codec)} against {escape(delta.anchor)}: {rate}")


def _quality(psnr_db: float | None) -> str:
    return "equal" if psnr_db is None else format_psnr(psnr_db)


def _parts(grid: Grid) -> str:
    """Say how an image was padded and cut, such as `512x512` or `6 tiles of 512x512`, width first."""
    size = f"{grid.width}x{grid.height}"
    return size if grid.rows * grid.columns == 1 else f"{grid.rows * grid.columns} tiles of {size}"
