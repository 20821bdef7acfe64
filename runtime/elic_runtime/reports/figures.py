"""Figures of matplotlib -> SVG for the inside of a page: its text is text, its colours are the page's variables.

Figures are objects of their own, without pyplot's global state. The same data give the same bytes.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from elic_runtime.errors import ElicError
from elic_runtime.reports.colours import INKS, LINE, MUTED, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = {
    "svg.fonttype": "none",  # the page's font, which a reader may select and enlarge
    "text.parse_math": False,  # a bundle's name may have dollar signs
    "font.size": 10,
    "axes.edgecolor": LINE.light,
    "axes.labelcolor": MUTED.light,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": TEXT.light,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "grid.color": LINE.light,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.color": TEXT.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
}
"""Differences from matplotlib's own style, whatever a user's matplotlibrc says."""

_SVG = "http://www.w3.org/2000/svg"
_VARIABLES = {ink.light: ink.css for ink in INKS}
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Draw in the style of reports.

    Parameters
    ----------
    name : str
        The figure's name, unique within its page: ids inside of the SVG are made of it.

    Raises
    ------
    ElicError
        If matplotlib is not installed.

    """
    try:
        from matplotlib import style
    except ModuleNotFoundError:
        raise ElicError("charts need matplotlib: install the extra, pip install 'elic-deploy[report]'") from None
    with style.context(["default", STYLE | {"svg.hashsalt": name}]), warnings.catch_warnings():
        # matplotlib measures text with its own font; the reader's draws it, and may have what the former lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def to_svg(figure: "Figure", title: str) -> str:
    """Return a figure as an SVG element for a page. Call it while `drawing`.

    Parameters
    ----------
    figure : Figure
        The figure, in the light colours of `colours.INKS`.
    title : str
        What it shows, for readers who do not see it.

    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    root = ET.fromstring(file.getvalue())  # noqa: S314 - matplotlib wrote it
    for parent in root.iter():
        for child in [c for c in parent if c.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    referenced = set(re.findall(r'(?:href="|url\()#([\w-]+)', file.getvalue().decode()))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if attributes.get("id") not in referenced:
            attributes.pop("id", None)
        if "style" in attributes:
            attributes["style"] = _restyled(attributes["style"])
        element.attrib = attributes
    root.attrib = {"xmlns": _SVG, "viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    return ET.tostring(root, encoding="unicode")


def printable(text: str, most: int = 48) -> str:
    """Return a name as XML can hold it, and not longer than a chart can."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _restyled(style: str) -> str:
    """Return a style with the page's colours and without a font, which is the page's."""
    style = re.sub(r"font-family:[^;]*;?\s*", "", style)
    return re.sub(r"#[0-9a-f]{6}", lambda colour: _VARIABLES.get(colour[0], colour[0]), style)
