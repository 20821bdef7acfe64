"""Boxes and arrows as SVG: `Drawing` takes what a picture shows and where, and `diagram.svg.j2` draws it.

The pictures of bundles and the walk in docs/architecture.md are drawn so. They stand in a page of reports, whose
colours they take, or alone, in light and in dark.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from elic_runtime.reports.templates import environment

Point = tuple[int, int]
"""x and y in pixels of a picture at its own size, from its top left corner."""

Kind = Literal["room", "encoder", "both", "decoder"]
"""What a box stands for: code that is no subgraph, or a subgraph by which halves of the codec need it."""

Anchor = Literal["start", "end"]
"""Which end of a text is at its x."""

Heads = Literal["none", "end", "both"]

PADDING, TITLE, LINE = 10, 18, 15
"""Pixels inside of a box, and the heights of its title and of each line below."""

SIZES = {"": 11, "title": 13, "note": 11, "band": 15}
"""Heights of the font in pixels, by the kind of a text: lines of boxes and labels, titles, remarks, headings."""

CHARACTER = 0.62
"""Width of a monospaced character, in heights of the font: 0.60 in the common ones."""

RADIUS = 14
"""Of circles, in pixels."""

_ASCENT, _DESCENT = 9, 4
"""Pixels above and below the base line of a box's first and last line."""

_HEAD, _HALF = 9, 4
"""Length of an arrow's head, and half its width, in pixels."""


@dataclass(frozen=True)
class Rectangle:
    """A filled rectangle, or a frame around what belongs together."""

    x: int
    y: int
    width: int
    height: int
    kind: Kind | Literal["frame"]
    dashed: bool = False
    what: ClassVar[str] = "rectangle"

    @property
    def right(self) -> int:
        """Where it ends."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """Where it ends."""
        return self.y + self.height

    @property
    def middle(self) -> int:
        """Between left and right."""
        return self.x + self.width // 2


@dataclass(frozen=True)
class Text:
    """One line of text."""

    x: int
    y: int
    text: str
    kind: str
    anchor: Anchor
    what: ClassVar[str] = "text"


@dataclass(frozen=True)
class Circle:
    """A circle around a letter."""

    x: int
    y: int
    text: str
    radius: int = RADIUS
    what: ClassVar[str] = "circle"


@dataclass(frozen=True)
class Arrow:
    """A line through points, with heads at its ends."""

    points: tuple[Point, ...]
    heads: Heads
    dashed: bool
    what: ClassVar[str] = "arrow"

    @property
    def tips(self) -> list[list[tuple[float, float]]]:
        """The heads as triangles."""
        ends = {"none": (), "end": (-1,), "both": (0, -1)}[self.heads]
        return [_triangle(self.points[end], self.points[end - 1 if end else 1]) for end in ends]


def _triangle(tip: Point, before: Point) -> list[tuple[float, float]]:
    (x, y), length = tip, math.dist(tip, before)
    along, down = (x - before[0]) / length, (y - before[1]) / length
    back = x - _HEAD * along, y - _HEAD * down
    return [
        (x, y),
        (round(back[0] - _HALF * down, 1), round(back[1] + _HALF * along, 1)),
        (round(back[0] + _HALF * down, 1), round(back[1] - _HALF * along, 1)),
    ]


def text_width(text: str, kind: str = "") -> int:
    """Return the pixels that a line of text takes at most."""
    return math.ceil(CHARACTER * SIZES[kind] * len(text))


def box_height(lines: int) -> int:
    """Return the height of a box with a title and so many lines."""
    return 2 * PADDING + _ASCENT + (TITLE + LINE * (lines - 1) if lines else 0)


class Drawing:
    """Elements of a picture, in the order in which they are drawn."""

    def __init__(self) -> None:
        self._elements: list[Rectangle | Text | Circle | Arrow] = []

    def frame(self, x: int, y: int, width: int, height: int) -> None:
        """Draw a dashed frame around what belongs together, behind everything else."""
        self._elements.insert(0, Rectangle(x, y, width, height, "frame"))

    def rectangle(self, x: int, y: int, width: int, height: int, kind: Kind, *, dashed: bool = False) -> Rectangle:
        """Draw a filled rectangle; what both halves run has a thick border."""
        drawn = Rectangle(x, y, width, height, kind, dashed)
        self._elements.append(drawn)
        return drawn

    def box(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        kind: Kind,
        title: str,
        *lines: str,
        note: str = "",
        dashed: bool = False,
    ) -> Rectangle:
        """Draw a box with a title, a remark at the right of it, and lines.

        Raises
        ------
        ValueError
            If a text does not fit into it.

        """
        drawn = self.rectangle(x, y, width, height, kind, dashed=dashed)
        first = y + PADDING + _ASCENT
        last = first + (TITLE + LINE * (len(lines) - 1) if lines else 0)
        if last + _DESCENT > drawn.bottom:
            raise ValueError(f"{title}: {len(lines)} lines are too many for a box {height} high")
        taken = text_width(title, "title") + (text_width(f" {note}", "note") if note else 0)
        if max(taken, *map(text_width, lines), 0) > width - 2 * PADDING:
            raise ValueError(f"{title}: a text is too long for a box {width} wide")
        self.text(x + PADDING, first, title, "title")
        if note:
            self.text(drawn.right - PADDING, first, note, "note", "end")
        for i, line in enumerate(lines):
            self.text(x + PADDING, first + TITLE + LINE * i, line)
        return drawn

    def circle(self, x: int, y: int, text: str) -> None:
        """Draw a circle around a letter."""
        self._elements.append(Circle(x, y, text))

    def text(self, x: int, y: int, text: str, kind: str = "", anchor: Anchor = "start") -> None:
        """Write one line; y is its base line."""
        self._elements.append(Text(x, y, text, kind, anchor))

    def arrow(self, *points: Point, heads: Heads = "end", dashed: bool = False) -> None:
        """Draw a line through points; the heads are where it points to."""
        self._elements.append(Arrow(points, heads, dashed))

    def svg(self, width: int, height: int, title: str, *, paper: bool = False) -> str:
        """Return the picture as an SVG element, which can be a file too.

        Parameters
        ----------
        width, height : int
            Size of the picture, in pixels.
        title : str
            What it shows.
        paper : bool
            Whether it has a background of its own; otherwise the page shows through.

        Raises
        ------
        ElicError
            If Jinja2 is not installed.

        """
        return (
            environment()
            .get_template("diagram.svg.j2")
            .render(elements=self._elements, width=width, height=height, title=title, paper=paper, sizes=SIZES)
        )
