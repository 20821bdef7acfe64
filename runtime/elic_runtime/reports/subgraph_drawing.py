"""Subgraphs as boxes and tensors as labels on arrows, in a drawing of a bundle."""

from elic_runtime.reports.diagram import PADDING, Anchor, Drawing, Kind, Rectangle, box_height, text_width
from elic_runtime.reports.subgraph_texts import LENGTH, SubgraphTexts

BOX = text_width("x" * LENGTH) + 2 * PADDING
"""Width of a subgraph's box, in pixels."""

MARGIN, INSIDE, GAP, SPACE = 20, 14, 20, 6
"""Pixels around a picture, between a frame and what is in it, between boxes side by side, and beside a label."""

ROOM = box_height(0)
"""Height of a box with a title alone."""


class SubgraphDrawing(Drawing):
    """A drawing that knows a bundle.

    Parameters
    ----------
    texts : SubgraphTexts
        The bundle in words.

    """

    def __init__(self, texts: SubgraphTexts) -> None:
        super().__init__()
        self.texts = texts

    def subgraph(self, name: str, x: int, y: int, *remarks: str, height: int = 0) -> Rectangle:
        """Draw a subgraph's box, of this height at least. One with remarks is dashed: it runs only as they say."""
        lines = self.texts.lines(name, *remarks)
        kind: Kind = self.texts.manifest.table[name].needed_by
        height = max(height, box_height(len(lines)))
        return self.box(x, y, BOX, height, kind, name, *lines, note=self.texts.note(name), dashed=bool(remarks))

    def over(self, x: int, y: int, name: str, *roles: str, anchor: Anchor = "start") -> None:
        """Write the names of tensors over a level line at y, and their shape below it."""
        for down, text in zip((-5, 13), self._said(name, *roles), strict=True):
            self.text(x, y + down, text, anchor=anchor)

    def beside(self, x: int, y: int, name: str, *roles: str, anchor: Anchor = "start") -> None:
        """Write the names and the shape of tensors beside an upright line at x: `end` for the left of it."""
        self.text(x + (SPACE if anchor == "start" else -SPACE), y, " ".join(self._said(name, *roles)), anchor=anchor)

    def over_width(self, name: str, *roles: str) -> int:
        """Return the pixels that names over a line, or the shape below it, take."""
        return max(map(text_width, self._said(name, *roles)))

    def beside_width(self, name: str, *roles: str) -> int:
        """Return the pixels that names and shape take in one line."""
        return text_width(" ".join(self._said(name, *roles)))

    def _said(self, name: str, *roles: str) -> tuple[str, str]:
        return ", ".join(self.texts.called(name, role) for role in roles), self.texts.shape(name, roles[0])
