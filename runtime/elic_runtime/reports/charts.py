"""Charts of an evaluation, drawn by matplotlib: curves of rate and distortion, bars of bytes and of seconds.

Each chart is an SVG element for the inside of a page. Curves come in two shapes, for wide and for narrow screens.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elic_runtime.evaluation.curves import PUBLISHED, Curve, MeanPoint
from elic_runtime.evaluation.points import Stage, Stream
from elic_runtime.reports.colours import MUTED, PAPER, SERIES
from elic_runtime.reports.figures import drawing, printable, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vPX*"
"""One for each codec, in their order. There are more of them than colours, so that together they repeat late."""

WIDE, NARROW = (7.6, 4.9), (3.7, 4.3)
"""Sizes of curves in inches: a page shows one of the two, as there is room."""

BAR_INCHES, BARS_WIDTH = 0.24, 4.2
"""Height of a bar with its gap, and width of a chart of bars, which phones show as large as desktops."""

BYTES_ROOM, TIME_ROOM = 2.1, 1.5
"""Widths of the axes over that of the longest bar, so that there is room for what is written at its end."""

PUBLISHED_LABEL = "ELIC as published, 24 Kodak photographs"


@dataclass(frozen=True)
class Quantity:
    """What a chart shows over the rate.

    Parameters
    ----------
    key : str
        For names of elements.
    label : str
        Its name and unit.
    of : callable
        Its value at a point; None if it was not measured.

    """

    key: str
    label: str
    of: Callable[[MeanPoint], float | None]


def _ms_ssim_db(point: MeanPoint) -> float | None:
    return None if point.ms_ssim is None or point.ms_ssim >= 1 else -10 * math.log10(1 - point.ms_ssim)


PSNR = Quantity("psnr", "PSNR, dB", lambda point: point.psnr_db)
QUANTITIES = (
    PSNR,
    Quantity("ms-ssim", "MS-SSIM, −10 log10(1 − x), dB", _ms_ssim_db),
    Quantity("ssimulacra2", "SSIMULACRA2", lambda point: point.ssimulacra2),
)
"""PSNR, and what an evaluation may have measured besides."""


@dataclass(frozen=True)
class CurveChart:
    """Curves of one quantity: two SVG elements of the same content, for wide and for narrow screens."""

    quantity: Quantity
    wide: str
    narrow: str


def curve_charts(curves: Sequence[Curve], bundles: Sequence[str]) -> Iterator[CurveChart]:
    """Draw curves of each quantity that was measured.

    Parameters
    ----------
    curves : sequence of Curve
        The curves, in the order of their colours.
    bundles : sequence of str
        Which of them are bundles, whose lines are thick and whose markers are filled; the others are anchors.

    """
    for quantity in QUANTITIES:
        if any(_known(curve, quantity) for curve in curves):
            wide, narrow = (_curve_chart(quantity, curves, bundles, size) for size in (WIDE, NARROW))
            yield CurveChart(quantity, wide, narrow)


def bytes_chart(streams: Sequence[Stream], name: str) -> str:
    """Draw how many bytes each part of a file has, as bars. `name` is the chart's, unique within its page."""
    total = sum(stream.bytes for stream in streams)
    rows = [(part.label, part.bytes, f"{part.bytes} B, {100 * part.bytes / (total or 1):.1f} %") for part in streams]
    return _bars(name, "Bytes of each part of the file", {f"file: {total} bytes": rows}, BYTES_ROOM) if rows else ""


def time_chart(stages: Mapping[str, Sequence[Stage]], name: str) -> str:
    """Draw the seconds of stages as bars.

    Parameters
    ----------
    stages : mapping of str to sequence of Stage
        What the time was spent for, such as encoding, and its stages. All have one scale.
    name : str
        The chart's name, unique within its page.

    """
    panels = {
        f"{what}: {_duration(sum(stage.seconds for stage in parts))}": [
            (stage.name, stage.seconds, _duration(stage.seconds)) for stage in parts
        ]
        for what, parts in stages.items()
        if parts
    }
    return _bars(name, "Seconds of each stage", panels, TIME_ROOM) if panels else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _known(curve: Curve, quantity: Quantity) -> list[tuple[float, float]]:
    """Return the points of a curve that have a rate and this quantity, by rate."""
    pairs = [(point.bpp, quantity.of(point)) for point in curve.points]
    return sorted((bpp, value) for bpp, value in pairs if bpp is not None and value is not None)


def _curve_chart(quantity: Quantity, curves: Sequence[Curve], bundles: Sequence[str], size: tuple[float, float]) -> str:
    wide = size == WIDE
    with drawing(f"{quantity.key}-{'wide' if wide else 'narrow'}"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=True)
        axes.set_xlabel("bits per pixel")
        axes.set_ylabel(quantity.label)
        names = []
        for number, curve in enumerate(curves):
            if points := _known(curve, quantity):
                axes.plot(*zip(*points, strict=True), **_series(number, bundle=curve.codec in bundles))
                names.append(printable(curve.codec))
        if quantity is PSNR:
            _add_published(axes, [pair for curve in curves for pair in _known(curve, quantity)])
            names.append(PUBLISHED_LABEL)
        figure.legend(axes.lines, names, loc="outside lower left", ncols=3 if wide else 1, handlelength=2.6)
        return to_svg(figure, f"{quantity.label} over bits per pixel: {', '.join(names)}")


def _series(number: int, *, bundle: bool) -> dict[str, Any]:
    """Return how the line of a codec looks."""
    colour = SERIES[number % len(SERIES)].light
    return {
        "color": colour,
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 7 if bundle else 5.5,
        "markerfacecolor": colour if bundle else PAPER.light,
        "linewidth": 2.2 if bundle else 1.2,
        "zorder": 4 if bundle else 3,
    }


def _add_published(axes: "Axes", measured: Sequence[tuple[float, float]]) -> None:
    """Add the paper's curve, which does not widen the axes: what was measured is what is looked at."""
    rates, values = zip(*measured, strict=True)
    (low, high), (least, most) = (min(rates), max(rates)), (min(values), max(values))
    beside = [psnr for bpp, psnr in PUBLISHED if low <= bpp <= high]
    margin, height = 0.08 * max(high, 0.05), 0.08 * max(most - least, 1)
    axes.set_xlim(max(0, low - margin), high + margin)
    axes.set_ylim(min([least, *beside]) - height, max([most, *beside]) + height)
    axes.plot(*zip(*PUBLISHED, strict=True), color=MUTED.light, linestyle=(0, (5, 3)), linewidth=1.4, marker="x")


def _bars(name: str, title: str, panels: Mapping[str, Sequence[tuple[str, float, str]]], room: float) -> str:
    """Draw panels of bars, of which each has a name, a length and what is written at its end."""
    counts = [len(rows) + 1 for rows in panels.values()]
    longest = max(length for rows in panels.values() for _, length, _ in rows)
    with drawing(name):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(BARS_WIDTH, BAR_INCHES * (sum(counts) + 0.5)), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=counts)
        for axes, (heading, rows) in zip(grid[:, 0], panels.items(), strict=True):
            _draw_bars(axes, rows)
            axes.set_xlim(0, room * (longest or 1))
            axes.set_title(heading)
        return to_svg(figure, title)


def _draw_bars(axes: "Axes", rows: Sequence[tuple[str, float, str]]) -> None:
    bars = axes.barh(range(len(rows)), [length for _, length, _ in rows], color=SERIES[0].light)
    axes.bar_label(bars, [label for *_, label in rows], padding=3)
    axes.set_yticks(range(len(rows)), [printable(what, 28) for what, *_ in rows])
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
