"""The page in a real browser, Debian's Chromium: what a reader does with a mouse, a finger and a keyboard."""

import io
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

CHROMIUM = os.environ.get("ELIC_CHROMIUM") or shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt install chromium, or name one in ELIC_CHROMIUM"),
]

DESKTOP, PHONE = (1280, 900), (360, 740)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # Without a sandbox, since it runs as root in containers, and shows nothing but this page.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the page in a window. Whatever it says or asks for is an error at the end."""
    contexts, said = [], []

    def open_page(size=DESKTOP, **options):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url[:5] != "data:" else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == [address] * len(contexts)


def pixels(locator):
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def cut(viewer):
    """Where the decoded picture begins, in percent of the photograph's width."""
    clip = viewer.locator(".decoded").evaluate("picture => getComputedStyle(picture).clipPath")
    return float(re.fullmatch(r"inset\(0px 0px 0px ([\d.]+)%\)", clip)[1])


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def place(stage, across, down=0.5):
    """A point of the stage, which is scrolled into view."""
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def zoom(viewer, times):
    viewer.get_by_role("button", name=f"{times}×").click()


def test_the_page_holds_what_the_evaluation_says(opened, report):
    page = opened()
    expect(page.locator(".verdict")).to_contain_text(report.verdict.sentence)
    assert page.locator("#all-points tbody tr").count() == 16
    broken = "() => [...document.images].filter(image => !image.complete || image.naturalWidth === 0).length"
    assert page.evaluate(broken) == 0
    assert page.evaluate("() => document.images.length") == 30


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (768, 1024)])
def test_no_page_is_wider_than_its_window(opened, size):
    page = opened(size)
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
    assert page.evaluate("() => document.documentElement.scrollWidth") == size[0]
    wide, narrow = page.locator(".chart .wide").first, page.locator(".chart .narrow").first
    assert (wide.is_visible(), narrow.is_visible()) == ((False, True) if size == PHONE else (True, False))


def test_letters_of_charts_can_be_read_on_a_phone(opened):
    page = opened(PHONE)
    heights = page.locator(".chart svg text").evaluate_all(
        "all => all.map(text => text.getBoundingClientRect().height).filter(height => height > 0)"
    )
    assert len(heights) > 40
    assert min(heights) >= 9


def test_the_slider_follows_the_mouse(opened):
    page = opened()
    viewer = page.locator(".viewer").first
    stage = viewer.locator(".stage")
    assert cut(viewer) == 50
    drag(page, place(stage, 0.5), place(stage, 0.2))
    assert cut(viewer) == pytest.approx(20, abs=0.5)
    assert viewer.locator(".split").input_value() == "20"
    drag(page, place(stage, 0.2), place(stage, 1.5))
    assert cut(viewer) == 100
    assert cut(page.locator(".viewer").nth(1)) == 50


def test_the_slider_follows_a_finger(opened):
    page = opened(PHONE, has_touch=True, is_mobile=True)
    viewer = page.locator(".viewer").first
    page.touchscreen.tap(*place(viewer.locator(".stage"), 0.75))
    assert cut(viewer) == pytest.approx(75, abs=1)


def test_the_slider_follows_the_keyboard(opened):
    page = opened()
    viewer = page.locator(".viewer").first
    slider = page.get_by_role("slider", name="Divider").first
    slider.focus()
    for key, value in (("ArrowRight", 51), ("ArrowLeft", 50), ("ArrowLeft", 49), ("Home", 0), ("End", 100)):
        page.keyboard.press(key)
        assert cut(viewer) == value
        expect(slider).to_have_attribute("aria-valuetext", f"{value} % original")


@pytest.mark.parametrize("times", [1, 4])
def test_the_divider_parts_the_two_pictures_where_it_stands(opened, times):
    """Zoomed and moved, the left part is that of the original, and the right part that of the decoded picture."""
    page = opened()
    viewer = page.locator(".viewer").first
    stage, slider = viewer.locator(".stage"), viewer.locator(".split")
    zoom(viewer, times)
    stage.press("ArrowRight")
    shown = {}
    for value in ("100", "0", "60"):
        slider.fill(value)
        shown[value] = pixels(stage)
    width = shown["60"].shape[1]
    left, right = slice(40, int(0.6 * width) - 40), slice(int(0.6 * width) + 40, -40)
    assert (shown["60"][:, left] == shown["100"][:, left]).all()
    assert (shown["60"][:, right] == shown["0"][:, right]).all()
    for part in (left, right):
        assert (shown["100"][:, part] != shown["0"][:, part]).mean() > 0.5


def test_zoom_shows_pixels_and_moves(opened):
    page = opened()
    viewer = page.locator(".viewer").first
    stage, layers, original = (viewer.locator(name) for name in (".stage", ".layers", ".original"))
    width = stage.bounding_box()["width"]
    before = pixels(stage)
    for times in (2, 4):
        zoom(viewer, times)
        assert original.bounding_box()["width"] == pytest.approx(times * width, rel=1e-3)
        expect(viewer.get_by_role("button", name=f"{times}×")).to_have_attribute("aria-pressed", "true")
        expect(viewer.get_by_role("button", name="1×")).to_have_attribute("aria-pressed", "false")
    assert original.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    assert (pixels(stage) != before).mean() > 0.5

    at = original.bounding_box()
    drag(page, place(stage, 0.8, 0.8), place(stage, 0.7, 0.6))
    moved = original.bounding_box()
    assert moved["x"] - at["x"] == pytest.approx(-0.1 * width, abs=2)
    assert cut(viewer) != 50  # the divider stands still while the pictures move
    stage.focus()
    page.keyboard.press("ArrowLeft")
    assert original.bounding_box()["x"] - moved["x"] == pytest.approx(width / 8, abs=1)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    box, edge = stage.bounding_box(), original.bounding_box()
    assert edge["x"] + edge["width"] == pytest.approx(box["x"] + box["width"], abs=1)
    assert edge["y"] + edge["height"] == pytest.approx(box["y"] + box["height"], abs=1)
    zoom(viewer, 1)
    assert layers.evaluate("layers => layers.style.transform") == "translate(0px, 0px) scale(1)"
    assert (pixels(stage) == before).all()


def test_a_zoomed_divider_is_dragged_by_its_handle(opened):
    page = opened()
    viewer = page.locator(".viewer").first
    stage = viewer.locator(".stage")
    zoom(viewer, 2)
    drag(page, place(stage, 0.5), place(stage, 0.25))
    assert viewer.locator(".split").input_value() == "25"
    assert cut(viewer) == pytest.approx(37.5, abs=0.5)  # of the photograph, whose middle half is in view


@pytest.mark.parametrize(("view", "kind"), [("Error", "error"), ("Bits", "bits")])
def test_maps_are_shown_with_their_keys(opened, report, view, kind):
    page = opened()
    viewer = page.locator(".viewer").first
    key = viewer.locator(f".for.{kind}")
    assert not key.is_visible()
    before = pixels(viewer.locator(".stage"))
    viewer.get_by_role("button", name=view).click()
    assert key.is_visible()
    assert f"{getattr(report.details[0], f'{kind}_scale'):.3g}" in key.inner_text()
    assert not viewer.locator(".divider").is_visible()
    shown = pixels(viewer.locator(".stage"))
    assert (shown != before).mean() > 0.5
    with Image.open(report.pictures / getattr(report.details[0], kind)) as picture:
        expected = np.asarray(picture.convert("RGB"))
    assert np.abs(shown.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 4
    viewer.get_by_role("button", name="Compare").click()
    assert (pixels(viewer.locator(".stage")) == before).all()


def test_a_square_of_the_map_of_bits_lies_on_its_16_pixels(opened, report):
    """Also where a photograph is no multiple of them, and the last squares reach out of it."""
    page = opened()
    viewer, details = page.locator(".viewer").nth(1), report.details[1]
    assert details.width % 16
    viewer.get_by_role("button", name="Bits").click()
    stage, bits = viewer.locator(".stage").bounding_box(), viewer.locator(".layers .bits").bounding_box()
    with Image.open(report.pictures / details.bits) as picture:
        columns, rows = picture.size
    scale = stage["width"] / details.width
    assert bits["width"] / columns == pytest.approx(16 * scale, rel=1e-3)
    assert bits["height"] / rows == pytest.approx(16 * scale, rel=1e-3)
    assert (bits["x"], bits["y"]) == (stage["x"], stage["y"])


def test_progressive_decoding_is_stepped_through(opened, report):
    page = opened()
    figure = page.locator(".progressive").first
    steps = report.details[0].progressive
    output, slider = figure.locator("output"), figure.get_by_role("slider")

    def at(number):
        visible = figure.locator("img:visible")
        assert visible.count() == 1
        assert visible.get_attribute("alt").endswith(f"after {steps[number].label}")
        expect(output).to_contain_text(f"after {steps[number].label}: {100 * steps[number].share:.1f} % of the bytes, ")
        return pixels(figure.locator(".previews"))

    last = at(10)
    figure.get_by_role("button", name="more").click()
    at(10)
    figure.get_by_role("button", name="less").click()
    at(9)
    slider.focus()
    page.keyboard.press("Home")
    first = at(0)
    assert f"{steps[0].psnr_db:.2f} dB" in output.inner_text()
    page.keyboard.press("ArrowRight")
    at(1)
    page.keyboard.press("End")
    assert (at(10) == last).all()
    assert np.abs(first - last).mean() > 1


def test_a_heading_sorts_its_table_both_ways(opened):
    page = opened()
    table = page.locator("#all-points")
    heading = table.get_by_role("columnheader", name="PSNR, dB")

    def column(number):
        return table.locator(f"tbody td:nth-child({number})").all_inner_texts()

    before = column(7)
    for direction, ascending in (("ascending", True), ("descending", False)):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", direction)
        numbers = [float(text) for text in column(7)]
        assert numbers == sorted(numbers, reverse=not ascending)
        assert numbers != [float(text) for text in before]
    table.get_by_role("button", name="setting").click()
    assert column(3) == sorted(column(3), key=lambda text: (text.split()[0], float(text.split()[1])))
    assert table.locator("th[aria-sort]").count() == 1


def background(page):
    return pixels(page.locator("body"))[3, 3].tolist()


def test_light_and_dark_follow_the_system_and_the_button(opened):
    light, dark = opened(color_scheme="light"), opened(color_scheme="dark")
    assert min(background(light)) > 240
    assert max(background(dark)) < 40
    chart = "() => getComputedStyle(document.querySelector('.chart svg text')).fill"
    assert light.evaluate(chart) != dark.evaluate(chart)

    button = dark.get_by_role("button", name="Theme")
    for theme, bright in (("light", True), ("dark", False), ("auto", False)):
        button.click()
        expect(button).to_have_text(f"Theme: {theme}")
        assert (min(background(dark)) > 240) == bright


def test_a_chosen_theme_is_remembered(browser, address):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(address)
    page.get_by_role("button", name="Theme").click()
    page.reload()
    expect(page.get_by_role("button", name="Theme")).to_have_text("Theme: light")
    assert min(background(page)) > 240
    context.close()


def test_tables_and_pictures_need_no_script(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("#all-points tbody tr:visible").count() == 16
    assert page.locator("button:visible, input:visible").count() == 0
    assert page.locator("img:visible").count() == 30
