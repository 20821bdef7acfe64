"""The page of an evaluation, read as HTML: what it says, that it holds all it needs, and that names stay names."""

import base64
import re
import sys
from html.parser import HTMLParser

import pytest
from elic_runtime.errors import ElicError
from elic_runtime.evaluation.curves import Verdict
from elic_runtime.evaluation.points import ImageResult
from elic_runtime.reports.page import MOST_ROWS

VOID = {"meta", "img", "input", "br", "link", "hr"}
PAPER = "https://arxiv.org/abs/2203.10886"
HOSTILE = "<script>alert(1)</script>\"' onerror=x & {{ 7*7 }}.png"

TABLES_ALONE = {"curves": [], "details": []}
"""Charts take most of the time."""


class Page(HTMLParser):
    """The elements of a page, which must be nested well."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def attributes(self, *names):
        return [attributes[name] for _, attributes in self.elements for name in names if name in attributes]


def rows(page, table):
    """The rows of a table's body, as texts of their cells."""
    body = re.search(rf'<table[^>]*id="{table}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)]


def test_it_is_well_formed(page):
    tags = [tag for tag, _ in Page(page).elements]
    assert page.startswith("<!doctype html>")
    assert tags.count("script") == tags.count("main") == tags.count("h1") == 1
    assert tags.count("table") == 5


def test_it_loads_nothing(page):
    parsed = Page(page)
    addresses = parsed.attributes("src", "href", "srcset", "action", "poster", "data", "xlink:href")
    assert {a for a in addresses if not a.startswith(("data:image/", "#"))} == {PAPER}
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.elements}
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", page))
    (policy,) = (a["content"] for tag, a in parsed.elements if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_it_holds_every_picture(report, page):
    sources = Page(page).attributes("src")
    names = [
        name
        for d in report.details
        for name in (d.original, d.decoded, d.error, d.bits, *(preview.file for preview in d.progressive))
    ]
    assert len(names) == 2 * (4 + 11)
    assert len(sources) == len(names)
    for source, name in zip(sources, names, strict=True):
        assert base64.b64decode(source.partition(";base64,")[2]) == (report.pictures / name).read_bytes()


def test_ids_are_unique_and_what_refers_to_them_finds_them(page):
    parsed = Page(page)
    ids = parsed.attributes("id")
    assert len(ids) == len(set(ids))
    referred = parsed.attributes("aria-labelledby") + [a[1:] for a in parsed.attributes("href") if a.startswith("#")]
    clips = re.findall(r"url\(#(.*?)\)", page)
    assert len(clips) > 5
    assert {*referred, *clips} <= {*ids}


def test_everything_that_is_operated_has_a_name(page):
    """Range inputs by their labels; pictures by their texts; groups by what they are."""
    parsed = Page(page)
    assert all(a.get("alt") for tag, a in parsed.elements if tag == "img")
    assert all(a.get("aria-label") for _, a in parsed.elements if a.get("role") in ("group", "img"))
    assert len(re.findall(r"<label>.*?<input type=\"range\".*?</label>", page, re.DOTALL)) == page.count("<input") == 4


def test_it_says_the_verdict_first(report, page):
    main = page.index("<main>")
    assert page.index(report.verdict.sentence) < main
    assert '<p class="verdict pass"><strong>✓ Passed.</strong>' in page[:main]


def test_a_failed_photograph_is_listed(report):
    failed = ImageResult(image="broken.png", error="broken.png: not an image")
    evaluation = report.evaluation.model_copy(update={"images": (*report.evaluation.images, failed)})
    verdict = Verdict(passed=False, sentence="2 of 3 photographs coded.")
    page = report.page(evaluation=evaluation, verdict=verdict, **TABLES_ALONE)
    assert '<p class="verdict fail"><strong>✗ Failed.</strong>2 of 3 photographs coded.' in page
    assert '<td>broken.png</td><td class="long">broken.png: not an image</td>' in page


def test_tables_have_the_numbers(report, page):
    points = [point for image in report.evaluation.images for point in image.points]
    found = rows(page, "all-points")
    assert len(found) == len(points) == 16
    for cells, point in zip(found, points, strict=True):
        size = f"{point.width}x{point.height}"
        numbers = [str(point.bytes), f"{point.bpp:.4f}", f"{point.psnr_db:.2f}"]
        assert cells[:7] == [point.image, point.codec, point.setting, size, *numbers]
        assert cells[7:] == [f"{point.encode_s:.3f}", f"{point.decode_s:.3f}"]
    (delta,) = report.deltas
    ((codec, rate, images),) = rows(page, "bd-rate")
    expected = "" if delta.bd_rate_percent is None else f"{delta.bd_rate_percent:+.1f} %".replace("-", "−")
    assert (codec, rate, images) == (delta.codec, expected, str(delta.images))


def test_other_measures_get_columns(report):
    first, *others = report.evaluation.images
    points = tuple(point.model_copy(update={"ms_ssim": 0.98765}) for point in first.points[:1]) + first.points[1:]
    evaluation = report.evaluation.model_copy(
        update={"images": (first.model_copy(update={"points": points}), *others)},
    )
    found = rows(report.page(evaluation=evaluation, **TABLES_ALONE), "all-points")
    assert [row[7] for row in found] == ["0.98765"] + [""] * 15


def test_an_equal_picture_is_called_so_and_sorts_last(report):
    first, *others = report.evaluation.images
    point = first.points[0].model_copy(update={"psnr_db": None, "equal": True})
    evaluation = report.evaluation.model_copy(
        update={"images": (first.model_copy(update={"points": (point, *first.points[1:])}), *others)}
    )
    assert '<td data-value="Infinity">equal</td>' in report.page(evaluation=evaluation, **TABLES_ALONE)


def test_many_points_are_cut_off_and_counted(report):
    images = report.evaluation.images * (MOST_ROWS // 16 + 1)
    page = report.page(evaluation=report.evaluation.model_copy(update={"images": images}), **TABLES_ALONE)
    assert len(rows(page, "all-points")) == MOST_ROWS
    assert f"{16 * len(images) // 2} files measured; the first {MOST_ROWS} are here, all are in results.csv" in page
    assert "<details>" in page


def test_few_points_are_seen_at_once(page):
    assert "<details open>" in page


def test_hostile_names_stay_text(report, page):
    first, second = report.evaluation.images
    points = tuple(point.model_copy(update={"image": HOSTILE, "codec": HOSTILE}) for point in first.points)
    facts = report.evaluation.bundles[0].model_copy(update={"label": HOSTILE})
    failed = ImageResult(image=HOSTILE, error=HOSTILE)
    hostile = report.page(
        evaluation=report.evaluation.model_copy(
            update={"images": (first.model_copy(update={"points": points}), second, failed), "bundles": (facts,)}
        ),
        verdict=Verdict(passed=False, sentence=HOSTILE),
        curves=[report.curves[0].model_copy(update={"codec": HOSTILE}), report.curves[1]],
        deltas=[report.deltas[0].model_copy(update={"codec": HOSTILE})],
        details=[report.details[0].model_copy(update={"image": HOSTILE, "shown": HOSTILE})],
        graphs={HOSTILE: "<svg></svg>"},
    )
    parsed, plain = Page(hostile), Page(page)
    assert {tag for tag, _ in parsed.elements} == {tag for tag, _ in plain.elements}
    assert [tag for tag, _ in parsed.elements].count("script") == 1
    assert {n for _, a in parsed.elements for n in a} <= {n for _, a in plain.elements for n in a}
    assert parsed.text.count(HOSTILE) > 16
    assert f"{HOSTILE}, the photograph" in parsed.attributes("alt")


def test_a_name_that_is_no_unicode_does_not_stop_the_page(report):
    details = report.details[0].model_copy(update={"image": "caf\udce9.png"})
    page = report.page(details=[details], curves=[])
    assert "caf?.png" in page.encode().decode()


def test_graphs_are_put_in_as_they_are(report):
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0L9 9"/></svg>'
    assert svg in report.page(graphs={"static-128x192": svg}, **TABLES_ALONE)


def test_it_can_do_without_what_was_not_measured(report):
    evaluation = report.evaluation.model_copy(update={"images": (), "bundles": (), "anchors": ()})
    page = report.page(evaluation=evaluation, curves=[], deltas=[], details=[], graphs={})
    assert [tag for tag, _ in Page(page).elements].count("table") == 0
    assert report.verdict.sentence in page


def test_a_picture_of_another_kind_is_refused(report, tmp_path):
    details = report.details[0].model_copy(update={"original": "photograph.tiff"})
    with pytest.raises(ElicError, match=r"photograph\.tiff: a page can hold \.webp, \.png, \.jpg only"):
        report.page(details=[details], curves=[])
    with pytest.raises(FileNotFoundError):
        report.page(pictures=tmp_path, curves=[])


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named(report, monkeypatch, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ElicError, match=r"pip install 'elic-deploy\[report\]'"):
        report.page()
