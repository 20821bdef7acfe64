"""An evaluation, its curves and its pictures -> `report.html`, one page that needs no network and no other file."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elic_runtime.errors import ElicError
from elic_runtime.evaluation.curves import PUBLISHED_SOURCE, Curve, Delta, Verdict
from elic_runtime.evaluation.points import Details, Evaluation, Point
from elic_runtime.reports.charts import bytes_chart, curve_charts, time_chart
from elic_runtime.reports.maps import gradient
from elic_runtime.reports.templates import environment

MOST_ROWS = 1000
"""How many points the page lists at most, of which a browser still sorts a table at once; all are in the CSV file."""

OPEN_ROWS = 60
"""Up to how many points their table is open when the page is."""


@dataclass(frozen=True)
class Column:
    """A column of tables that is there if it was measured: its field in `Point` and `MeanPoint`, heading and digits."""

    name: str
    heading: str
    digits: int


COLUMNS = (
    Column("ms_ssim", "MS-SSIM", 5),
    Column("ssimulacra2", "SSIMULACRA2", 1),
    Column("encode_s", "encode, s", 3),
    Column("decode_s", "decode, s", 3),
)

_TYPES = {".webp": "image/webp", ".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class _Photograph:
    """One photograph shown closely, with its charts."""

    details: Details
    bytes_chart: str
    time_chart: str


def render_report(
    evaluation: Evaluation,
    curves: Sequence[Curve],
    deltas: Sequence[Delta],
    verdict: Verdict,
    details: Sequence[Details],
    graphs: Mapping[str, str],
    pictures: Path,
) -> str:
    """Render an evaluation as one self-contained HTML page.

    Parameters
    ----------
    evaluation : Evaluation
        What was measured.
    curves : sequence of Curve
        The means of each codec, in the order of their colours.
    deltas : sequence of Delta
        What separates the curves, for each pair that was compared.
    verdict : Verdict
        What the page says first.
    details : sequence of Details
        The photographs that are shown closely.
    graphs : mapping of str to str
        Pictures of the bundles by their labels: SVG elements, which are put into the page as they are.
    pictures : Path
        The folder of the pictures that the details name.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ElicError
        If Jinja2 or matplotlib is not installed, or a picture is of a kind that browsers do not show.
    OSError
        If a picture cannot be read.

    """
    points = [point for image in evaluation.images for point in image.points]
    bundles = [bundle.label for bundle in evaluation.bundles]
    made = environment()
    made.filters |= {"number": _number, "psnr": _psnr, "picture": lambda name: _picture(pictures, name)}
    page = made.get_template("evaluation.html.j2").render(
        passed=verdict.passed,
        verdict=verdict,
        evaluation=evaluation,
        failed=[image for image in evaluation.images if image.error is not None],
        charts=list(curve_charts(curves, bundles)),
        published_source=PUBLISHED_SOURCE,
        curves=curves,
        deltas=deltas,
        anchors=list(dict.fromkeys(delta.anchor for delta in deltas)),
        points=points[:MOST_ROWS],
        left_out=max(0, len(points) - MOST_ROWS),
        open_rows=OPEN_ROWS,
        columns=[column for column in COLUMNS if any(getattr(p, column.name) is not None for p in points)],
        photographs=[_photograph(number, each) for number, each in enumerate(details)],
        gradient=gradient(),
        graphs=graphs,
    )
    return page.encode("utf-8", "replace").decode()  # a file's name may be no Unicode


def _photograph(number: int, details: Details) -> _Photograph:
    stages = {"encode": details.encode, "decode": details.decode}
    return _Photograph(
        details, bytes_chart(details.streams, f"bytes-{number}"), time_chart(stages, f"seconds-{number}")
    )


def _number(value: float | None, digits: int = 2) -> str:
    """Format a number that may be missing."""
    return "" if value is None else f"{value:.{digits}f}"


def _psnr(point: Point) -> str:
    return "equal" if point.equal else _number(point.psnr_db)


def _picture(folder: Path, name: str) -> str:
    """Return a picture as a data: URI."""
    path = folder / name
    if path.suffix not in _TYPES:
        raise ElicError(f"{path}: a page can hold {', '.join(_TYPES)} only")
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
