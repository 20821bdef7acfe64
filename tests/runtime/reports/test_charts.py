"""Charts against the data that they show: where matplotlib put what was measured."""

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import matplotlib
import numpy as np
import pytest
from elic_runtime.evaluation.curves import PUBLISHED, Curve
from elic_runtime.evaluation.points import Stage, Stream
from elic_runtime.reports.charts import PUBLISHED_LABEL, bytes_chart, curve_charts, time_chart
from elic_runtime.reports.colours import INKS, LINE, MUTED, SERIES

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def places(svg, ink):
    """Where markers of a colour are, in order, [n, 2]: those of the curve, without the one in the legend."""
    uses = [u for u in ET.fromstring(svg).iter(f"{SVG}use") if f"stroke: {ink.css}" in u.get("style", "")]
    shape = uses[-1].get("href")  # ticks have other ones
    return np.array([(float(u.get("x")), float(u.get("y"))) for u in uses[:-1] if u.get("href") == shape])


def scale(svg, axis):
    """A line's coefficients from what an axis says to where it says it, by the lines of the grid."""
    lines = [p for p in ET.fromstring(svg).iter(f"{SVG}path") if f"stroke: {LINE.css}" in p.get("style", "")]
    ends = [np.array(re.findall(r"[ML] (\S+) (\S+)", path.get("d")), float) for path in lines]
    inside = [(end, path) for end, path in zip(ends, lines, strict=True) if path.get("clip-path")]
    where = [end[0, axis] for end, _ in inside if end[0, axis] == end[1, axis]]
    anchor = ("middle", "end")[axis]
    labels = [e for e in ET.fromstring(svg).iter(f"{SVG}text") if f"text-anchor: {anchor}" in e.get("style")]
    said = [float(e.text) for e in labels if re.fullmatch(r"[\d.]+", e.text)]
    return np.polyfit(said, where, 1)


def bars(svg):
    """The widths of bars, in order."""
    paths = [p for p in ET.fromstring(svg).iter(f"{SVG}path") if f"fill: {SERIES[0].css}" in p.get("style", "")]
    corners = [np.array(re.findall(r"[ML] (\S+) (\S+)", path.get("d")), float) for path in paths]
    return [float(np.ptp(corner[:, 0])) for corner in corners]


@pytest.fixture(scope="module")
def psnr_chart(report):
    (chart,) = curve_charts(report.curves, [report.evaluation.bundles[0].label])
    return chart


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_every_point_is_where_the_axes_say(report, psnr_chart, size):
    svg = getattr(psnr_chart, size)
    (x_scale, x_zero), (y_scale, y_zero) = scale(svg, 0), scale(svg, 1)
    assert x_scale > 0 > y_scale  # SVG's y grows downwards

    def read(ink):
        return (places(svg, ink) - (x_zero, y_zero)) / (x_scale, y_scale)

    for curve, ink in zip(report.curves, SERIES, strict=False):
        expected = sorted((point.bpp, point.psnr_db) for point in curve.points)
        assert len(expected) == 4
        np.testing.assert_allclose(read(ink), expected, atol=2e-3)
    published = read(MUTED)[1:]  # the first one is just outside, and cut off there
    assert len(published) >= 3
    for point in published:
        assert np.abs(np.array(PUBLISHED) - point).max(axis=1).min() < 2e-3


def test_a_chart_names_its_curves_and_its_axes(report, psnr_chart):
    for svg in (psnr_chart.wide, psnr_chart.narrow):
        assert {*(curve.codec for curve in report.curves), PUBLISHED_LABEL, "PSNR, dB", "bits per pixel"} <= {
            *texts(svg)
        }


def test_other_measures_have_charts_of_their_own_without_the_paper_s_curve(report):
    curves = [
        curve.model_copy(
            update={"points": tuple(point.model_copy(update={"ms_ssim": 0.99}) for point in curve.points[:1])}
        )
        for curve in report.curves
    ]
    psnr, ms_ssim = curve_charts(curves, [])
    assert PUBLISHED_LABEL in texts(psnr.wide)
    assert PUBLISHED_LABEL not in texts(ms_ssim.wide)
    assert len(places(ms_ssim.wide, SERIES[0])) == 1
    (height,) = {y for _, y in places(ms_ssim.wide, SERIES[0])} | {y for _, y in places(ms_ssim.wide, SERIES[1])}
    assert 0 < height < 400


def test_what_was_not_measured_is_left_out(report):
    first, second = report.curves
    without = [point.model_copy(update={"bpp": None}) for point in first.points]
    equal = second.points[0].model_copy(update={"psnr_db": None})
    curves = [Curve(codec="no rate", points=tuple(without)), Curve(codec="JPEG", points=(equal, *second.points[1:]))]
    (chart,) = curve_charts(curves, [])
    assert "no rate" not in texts(chart.wide)
    assert len(places(chart.wide, SERIES[1])) == 3
    assert list(curve_charts(curves[:1], [])) == []


def test_series_differ_by_marker_as_well_as_by_colour(report):
    curves = [report.curves[0].model_copy(update={"codec": f"codec {i}"}) for i in range(12)]
    (chart,) = curve_charts(curves, [])
    shapes = set()
    for use in ET.fromstring(chart.wide).iter(f"{SVG}use"):
        colour = re.search(r"stroke: var\(--(series-\d)", use.get("style", ""))
        if colour:
            shapes.add((colour[1], use.get("href")))
    assert len(shapes) == 12


def test_colours_are_the_page_s(psnr_chart, report):
    """No colour is left that would stay as it is in the dark."""
    details = report.details[0]
    for svg in (
        psnr_chart.wide,
        psnr_chart.narrow,
        bytes_chart(details.streams, "b"),
        time_chart({"e": details.encode}, "t"),
    ):
        used = set(re.findall(r"#[0-9a-f]{3,8}\b(?!\))", svg)) - {f"#{key}" for key in re.findall(r'id="(\w+)"', svg)}
        assert used == set()
        assert "var(--" in svg
        assert "font-family" not in svg


def test_inks_are_told_apart_by_their_light_colours():
    assert len({ink.light for ink in INKS}) == len({ink.name for ink in INKS}) == len(INKS)


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_contrast_is_what_wcag_asks_for():
    """Text 4.5 to 1; of the lines, the first three series 3 to 1 in both themes, as Okabe and Ito's colours allow."""
    paper, text, muted, _, raised, link, passed, failed, *series = INKS
    for theme in ("light", "dark"):
        for background in (paper, raised):
            behind = luminance(getattr(background, theme))
            for ink, least in [(i, 4.5) for i in (text, muted, link, passed, failed)] + [(i, 3) for i in series[:3]]:
                high, low = sorted((behind, luminance(getattr(ink, theme))), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= least, (ink.name, theme)


def test_the_same_data_give_the_same_bytes(report):
    def drawn():
        details = report.details[0]
        charts = [svg for chart in curve_charts(report.curves, []) for svg in (chart.wide, chart.narrow)]
        return [*charts, bytes_chart(details.streams, "bytes"), time_chart({"decode": details.decode}, "time")]

    assert drawn() == drawn()


@pytest.mark.parametrize(
    "name", ["_hidden", "<script>alert(1)</script> & co", "$x$ \\frac", "猫 кот", "tab\t\x01\udcff"]
)
def test_any_name_can_be_shown(report, name):
    curves = [report.curves[0].model_copy(update={"codec": name}), report.curves[1]]
    (chart,) = curve_charts(curves, [name])
    assert "".join(letter if letter.isprintable() else "\ufffd" for letter in name) in texts(chart.wide)
    assert len(places(chart.wide, SERIES[0])) == 4
    assert any(text.startswith(name[:3]) for text in texts(bytes_chart([Stream(label=name, bytes=9)], "bytes")))


def test_long_names_are_shortened(report):
    curves = [report.curves[0].model_copy(update={"codec": "x" * 300}), report.curves[1]]
    (chart,) = curve_charts(curves, [])
    assert any(re.fullmatch("x{20,60}…", text) for text in texts(chart.narrow))


def test_bars_are_as_long_as_streams_are_large(report):
    streams = report.details[0].streams
    svg = bytes_chart(streams, "bytes")
    widths = bars(svg)
    sizes = np.array([stream.bytes for stream in streams])
    np.testing.assert_allclose(np.array(widths) / max(widths), sizes / sizes.max(), atol=1e-3)
    shown = texts(svg)
    for stream in streams:
        assert stream.label in shown
        assert any(text.startswith(f"{stream.bytes} B, ") for text in shown)
    assert f"file: {sizes.sum()} bytes" in shown


def test_bars_of_both_directions_have_one_scale(report):
    details = report.details[0]
    svg = time_chart({"encode": details.encode, "decode": details.decode}, "time")
    seconds = np.array([stage.seconds for stage in (*details.encode, *details.decode)])
    widths = np.array(bars(svg))
    np.testing.assert_allclose(widths / widths.max(), seconds / seconds.max(), atol=1e-3)
    assert [text.split(":")[0] for text in texts(svg) if ": " in text] == ["encode", "decode"]


def test_durations_have_units_that_fit():
    shown = texts(time_chart({"encode": [Stage(name="a", seconds=2.5), Stage(name="b", seconds=0.0125)]}, "time"))
    assert {"2.50 s", "12.5 ms", "encode: 2.51 s"} <= {*shown}


def test_nothing_is_drawn_of_nothing():
    assert bytes_chart([], "bytes") == time_chart({"encode": [], "decode": ()}, "time") == ""
    assert bars(bytes_chart([Stream(label="z", bytes=0)], "bytes")) == [0]


def test_drawing_leaves_matplotlib_as_it_was(report):
    before = dict(matplotlib.rcParams)
    list(curve_charts(report.curves, []))
    assert dict(matplotlib.rcParams) == before


def test_drawing_needs_no_pyplot():
    code = (
        "import sys; from elic_runtime.evaluation.points import Stream; from elic_runtime.reports.charts import *;"
        "bytes_chart([Stream(label='z', bytes=1)], 'bytes'); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
