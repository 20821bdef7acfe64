"""Photograph a report as README opens with it: its verdict, its curves, and one photograph closely.

`make report`, then `python docs/report_picture.py build/report/report.html`: writes `images/report.jpg`. It needs a
browser: `apt install chromium`, or name one in ELIC_CHROMIUM.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "images" / "report.jpg"

WIDTH = 1100

LEFT_OUT = (
    "section:not([aria-labelledby='curves'], [aria-labelledby='photographs'])",
    "article ~ article",
    ".chart ~ .chart[data-chart], figcaption, .progressive, .progressive + *, .photograph .box, .photograph h4",
    "h2, #theme, .split, .for",
)
"""What is hidden, as CSS selects it."""


def take(page: Path, picture: Path) -> None:
    """Write the picture of a report's page."""
    with sync_playwright() as playwright:
        executable = os.environ.get("ELIC_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        shown.goto(page.resolve().as_uri())
        shown.add_style_tag(content=f"{', '.join(LEFT_OUT)} {{ display: none !important }}")
        shown.screenshot(path=picture, type="jpeg", quality=90, full_page=True)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), PICTURE)
