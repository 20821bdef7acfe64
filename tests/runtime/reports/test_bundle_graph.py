"""The picture of a bundle: well-formed, whole, and readable, for every form; and in a real browser."""

import os
import re
import shutil
import zipfile
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from elic_runtime.bundle import Bundle
from elic_runtime.errors import BundleError
from elic_runtime.manifest import Manifest
from elic_runtime.reports.bundle_graph import draw_bundle, file_sizes
from elic_runtime.reports.diagram import Drawing
from elic_runtime.reports.subgraph_texts import operators, short

GOLDEN = Path(__file__).parents[1] / "golden/bundle.zip"
CHROMIUM = os.environ.get("ELIC_CHROMIUM") or shutil.which("chromium")
SVG = "{http://www.w3.org/2000/svg}"
FORMS = ("static", "dynamic", "no-entropy", "golden", "renamed", "compiled")
CHARACTER = 0.61
"""Width of a character in heights of the font, of DejaVu Sans Mono; DejaVu Sans is narrower on average."""


@pytest.fixture(scope="session")
def golden_folder(tmp_path_factory):
    """A bundle of format version 4, with g_a and h_a apart, without counts, and without the encoder's files."""
    folder = tmp_path_factory.mktemp("golden")
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(folder)
    return folder


def renamed(manifest):
    """With the names that another tool wants in its graphs."""
    fields = manifest.model_dump(mode="json")
    for info in fields["subgraphs"].values():
        for tensor in (*info["inputs"], *info["outputs"]):
            if tensor["name"] in ("x", "y_hat", "x_hat", "means", "support"):
                tensor |= {"renamed": tensor["name"], "name": f"tensor_of_{tensor['name']}"}
    return Manifest.model_validate(fields)


def compiled(manifest):
    """As two compilers leave it."""
    file = {"file": "targets/x/y.bin", "sha256": "0" * 64}
    graphs = {name: manifest.subgraphs[name] for name in ("g_a_h_a", "g_s")}
    made = {name: {"inputs": i.inputs, "outputs": i.outputs, "files": [file]} for name, i in graphs.items()}
    common = {"platform": "cpu", "precision": "fp32", "rewrites": (), "log": file}
    targets = {
        "openvino": common | {"version": "2025.2.0", "subgraphs": made},
        "mnn": common | {"version": "3.6.1", "subgraphs": {"g_s": made["g_s"]}},
    }
    return Manifest.model_validate(manifest.model_dump() | {"compiled": targets})


@pytest.fixture(scope="session")
def bundles(bundle_path, dynamic_path, no_entropy_path, golden_folder):
    """Manifests and sizes of files, by what is special of them."""
    folders = {"static": bundle_path, "dynamic": dynamic_path, "no-entropy": no_entropy_path, "golden": golden_folder}
    found = {form: Bundle(folder) for form, folder in folders.items()}
    made = {form: (bundle.manifest, file_sizes(bundle)) for form, bundle in found.items()}
    static, sizes = made["static"]
    return made | {"renamed": (renamed(static), sizes), "compiled": (compiled(static), sizes)}


@pytest.fixture(params=FORMS)
def drawn(request, bundles):
    """A manifest, the sizes of its files, and the picture."""
    manifest, sizes = bundles[request.param]
    return manifest, sizes, ElementTree.fromstring(draw_bundle(manifest, sizes))


def texts(picture):
    return [element.text for element in picture.iter(f"{SVG}text")]


def words(picture):
    """All words, without the commas and brackets around names."""
    return {word.strip(",()") for text in texts(picture) for word in text.split()}


def spans(picture):
    """Text elements as rectangles: left, top, right, bottom."""
    sizes = {"title": 13, "band": 15}
    for element in picture.iter(f"{SVG}text"):
        size = sizes.get(element.get("class"), 11)
        width, x, y = CHARACTER * size * len(element.text), float(element.get("x")), float(element.get("y"))
        left = x - width * {None: 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        yield element.text, (left, y - 0.75 * size, left + width, y + 0.22 * size)


def rectangles(picture, *kinds):
    for element in picture.iter(f"{SVG}rect"):
        if element.get("class").split()[0] in kinds:
            x, y, width, height = (float(element.get(name)) for name in ("x", "y", "width", "height"))
            yield x, y, x + width, y + height


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_every_subgraph_and_tensor_is_named(drawn):
    manifest, _, picture = drawn
    titles = [e.text for e in picture.iter(f"{SVG}text") if e.get("class") == "title"]
    for name, info in manifest.subgraphs.items():
        assert titles.count(name) == 1
        for tensor in (*info.inputs, *info.outputs):
            assert {tensor.role, tensor.name} <= words(picture), name
    slices = {f"y_hat_{k}" for k in range(len(manifest.model.groups))}
    assert (slices <= words(picture)) == (manifest.form != "no-entropy")


def test_every_subgraph_has_its_numbers(drawn):
    manifest, sizes, picture = drawn
    said = texts(picture)
    for name, info in manifest.subgraphs.items():
        lines = said[said.index(name) + 2 :]
        assert lines[0].startswith(f"{sum(info.operators.values())} operators: ")
        assert all(word in lines[0] for word in ("Conv",))
        held = [f"{short(info.parameters)} parameters"] if info.parameters else []
        held += [short(sizes[name], "B")] if name in sizes else []
        assert lines[1] == ", ".join(held) or not held
        if info.multiply_adds:
            per_pixel = info.multiply_adds / manifest.extent(name).max.pixels
            total = short(per_pixel * manifest.encoder.max.pixels)
            assert lines[2] == f"{short(per_pixel)} multiply-adds/pixel, {total}"
    assert sizes


def test_texts_are_within_the_picture_and_apart(drawn):
    picture = drawn[2]
    width, height = map(int, picture.get("viewBox").split()[2:])
    assert 1000 < width < 1600
    found = list(spans(picture))
    for text, (left, top, right, bottom) in found:
        assert 0 <= left < right <= width, text
        assert 0 <= top < bottom <= height, text
    touching = [(a, b) for (a, one), (b, other) in combinations(found, 2) if overlap(one, other)]
    assert not touching


def test_boxes_are_apart_and_hold_their_texts(drawn):
    """No line of text crosses the edge of a box."""
    boxes = list(rectangles(drawn[2], "room", "encoder", "both", "decoder"))
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    for text, (left, top, right, bottom) in spans(drawn[2]):
        for box in boxes:
            if overlap((left, top, right, bottom), box):
                assert box[0] <= left, text
                assert right <= box[2], text
                assert box[1] <= top, text
                assert bottom <= box[3], text


def test_shapes_are_those_of_an_image_or_open(bundles):
    """Without the batch; a static bundle's graphs on the CPU are open, and drawn for its own shape."""
    static, dynamic = (words(ElementTree.fromstring(draw_bundle(*bundles[f]))) for f in ("static", "dynamic"))
    assert {"3x128x192", "24x8x12", "16x2x3", "4x8x6", "8x8x12"} <= static
    assert {"3xHxW", "24xH/16xW/16", "16xH/64xW/64", "4xH/16xW/32", "16xH/4xW/4"} <= dynamic


def test_the_transforms_alone_are_on_the_accelerator(drawn):
    """In its frame; what decides symbols, the coder and numpy are not."""
    manifest, _, picture = drawn
    (frame,) = rectangles(picture, "frame")
    inside = {text for text, span in spans(picture) if overlap(span, frame)}
    for name in manifest.subgraphs:
        assert (name in inside) == (not manifest.on_cpu(name)), name
    assert not {"entropy coder", "photograph", "picture", "file, .elic"} & inside


def test_what_does_not_run_is_dashed(bundles):
    dashed = {}
    for form in ("static", "dynamic", "golden"):
        picture = ElementTree.fromstring(draw_bundle(*bundles[form]))
        elements = list(picture)
        dashed[form] = {
            after.text for e, after in pairwise(elements) if e.tag == f"{SVG}rect" and "dashed" in e.get("class")
        }
    assert dashed["static"] == {"g_a", "h_a"}
    assert dashed["dynamic"] == {"g_a", "h_a", "g_s_0", "g_s_1"}
    assert dashed["golden"] == set()


def test_compilers_are_named(bundles):
    said = texts(ElementTree.fromstring(draw_bundle(*bundles["compiled"])))
    assert said.count("compiled: openvino, mnn") == 1
    assert said.count("compiled: openvino") == 1
    assert {"compiled by openvino 2025.2.0 for cpu, fp32", "compiled by mnn 3.6.1 for cpu, fp32"} <= set(said)


def test_colours_are_the_page_s(bundles):
    """By its variables: no colour but as what stands in for a page's."""
    picture = draw_bundle(*bundles["static"])
    assert re.findall(r"#[0-9a-f]{3,6}\b", picture)
    assert not re.findall(r"#[0-9a-f]{3,6}\b", re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", picture))
    assert "var(--text, " in picture
    # A picture in a page leaves its texts and rectangles alone.
    style = ElementTree.fromstring(picture).find(f"{SVG}style").text
    rules = [rule for rule in re.findall(r"^\s*([^{}@]+?) \{", style, re.MULTILINE) if rule]
    assert len(rules) > 10
    assert all(rule.startswith(".diagram") for rule in rules)


def test_a_bundle_without_what_its_form_needs_is_refused(bundles):
    manifest, _ = bundles["static"]
    rest = {name: info for name, info in manifest.subgraphs.items() if name != "context_2_anchor"}
    with pytest.raises(BundleError, match="exported without context_2_anchor"):
        draw_bundle(manifest.model_copy(update={"subgraphs": rest}))


def test_a_text_that_does_not_fit_its_box_is_refused():
    drawing = Drawing()
    with pytest.raises(ValueError, match="too long for a box 50 wide"):
        drawing.box(0, 0, 50, 100, "room", "a title that is long")
    with pytest.raises(ValueError, match="2 lines are too many for a box 40 high"):
        drawing.box(0, 0, 500, 40, "room", "title", "one", "two")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (3.4, "3 B"), (727.1, "727 B"), (999.4, "999 B"), (999.6, "1.00 kB"), (9_994, "9.99 kB"),
     (9_996, "10.0 kB"), (29_390_778, "29.4 MB"), (99_960, "100 kB"), (254_968, "255 kB"), (66_838_331_392, "66.8 GB"),
     (3e15, "3000 TB")],
)  # fmt: skip
def test_numbers_have_three_digits(number, text):
    assert short(number, "B") == text


def test_operators_with_the_work_come_first():
    counts = {"Add": 23, "Conv": 2, "Relu": 54, "Sigmoid": 2}
    assert operators(counts) == "81 operators: Conv 2, Relu 54, …"
    assert operators({"Conv": 3, "Relu": 2}) == "5 operators: Conv 3, Relu 2"
    assert operators({"AnOperatorOfAVeryLongName" * 2: 1}) == "1 operators"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt install chromium, or name one in ELIC_CHROMIUM")
def test_a_browser_draws_texts_apart(bundles, tmp_path):
    """With its own fonts, whose widths are not the ones that the layout reckons with."""
    from playwright.sync_api import sync_playwright

    measure = """() => [...document.querySelectorAll('text')].map(t => {
        const box = t.getBBox(); return [t.textContent, box.x, box.y, box.x + box.width, box.y + box.height] })"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(300_000)  # milliseconds: a busy machine is slow to start one
        for form, (manifest, sizes) in bundles.items():
            picture = draw_bundle(manifest, sizes)
            path = tmp_path / f"{form}.svg"
            path.write_text(picture, encoding="utf-8")
            page.goto(path.as_uri())
            width = int(re.search(r'viewBox="0 0 (\d+)', picture)[1])
            found = [(text, box) for text, *box in page.evaluate(measure)]
            assert len(found) > 15
            assert max(box[2] for _, box in found) <= width
            assert min(box[0] for _, box in found) >= 0
            touching = [(a, b) for (a, one), (b, other) in combinations(found, 2) if overlap(one, other)]
            assert not touching, form
        browser.close()
