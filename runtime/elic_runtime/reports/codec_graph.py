"""The picture of a codec: transforms on the accelerator above, what decides symbols and the coder on the CPU below.

An image comes down at the left, through g_a and h_a; symbols go to the coder at the bottom, or come from there; y_hat
goes up at the right, to g_s.
"""

from dataclasses import dataclass
from itertools import pairwise

from elic_runtime.reports.codec_columns import (
    EDGE,
    HEAD_ROOM,
    LATENTS_BUS,
    LEFT,
    MERGED,
    READS,
    Z_BUS,
    Columns,
    read_by,
    synthesis_of,
)
from elic_runtime.reports.diagram import RADIUS, Heads, Point, Rectangle, box_height
from elic_runtime.reports.subgraph_drawing import BOX, GAP, INSIDE, MARGIN, ROOM, SPACE, SubgraphDrawing
from elic_runtime.shapes import LATENT_STRIDE, dimensions
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR, pass_name

_MEANS, _SUPPORT, _READS, _READ = 24, 61, 16, 22
"""Pixels from the top of a pass to where its means leave it, to its support, to what it reads first, and from one thing
that it reads to the next."""

_PASS, _ROW = 77, 22
"""Smallest height of a pass, beside which its tensors have room, and pixels between rows of boxes."""

_BREAK = 4
"""Pixels by which a line that is crossed ends before the other."""

_LEVEL = 36
"""Pixels from the accelerator to the level on which y goes to the passes."""


@dataclass(frozen=True)
class _Encoder:
    """The encoder's transforms as they are drawn.

    Parameters
    ----------
    name : str
        The subgraph that gives y.
    y, z : tuple of int
        Where they leave.
    taking : list of Rectangle
        The boxes that take x, the first of which runs.
    bottom : int
        Where the last box ends.

    """

    name: str
    y: Point
    z: Point
    taking: list[Rectangle]
    bottom: int


class CodecGraph:
    """Draws a codec.

    Parameters
    ----------
    drawing : SubgraphDrawing
        Where to draw.
    columns : Columns
        Where its columns are.

    """

    def __init__(self, drawing: SubgraphDrawing, columns: Columns) -> None:
        self.drawing, self.at = drawing, columns
        self.manifest = drawing.texts.manifest
        self.has = self.manifest.subgraphs.keys()

    def draw(self, top: int) -> int:
        """Draw everything from `top` down, and return where it ends."""
        frame = top + ROOM + 24
        encoder = self._analysis(top, frame + 30)
        decoder = self._synthesis(top, frame + 30)
        end = max(encoder.bottom, *(box.bottom for box in decoder)) + (28 if len(decoder) > 1 else 16)
        self.drawing.frame(MARGIN, frame, self.at.right + INSIDE - MARGIN, end - frame)
        self.drawing.text(self.at.analysis + BOX // 2 + HEAD_ROOM, frame + 19, "Accelerator: the transforms", "band")
        level = end + _LEVEL
        heading = "CPU: the coder, and graphs that decide symbols"
        self.drawing.text(self.at.first + HEAD_ROOM, level + 24, heading, "band")
        z, latents = self._hyper(encoder, end)
        rows = self._passes(latents)
        self._y(encoder, level, rows[0])
        self._y_hat(decoder, rows[-2], end)
        return self._coder(z, *rows[-2:])

    # The transforms
    def _analysis(self, top: int, row: int) -> _Encoder:
        """g_a and h_a, or both in one graph with g_a beside it."""
        drawing, width = self.drawing, self.at.analysis + BOX - LEFT
        room = drawing.box(LEFT, top, width, ROOM, "room", "photograph", note="CPU: numpy, padding")
        encoder = self._merged(row) if MERGED in self.has else self._apart(row)
        for i, box in enumerate(encoder.taking):
            drawing.arrow((box.middle, room.bottom), (box.middle, row), dashed=i > 0)
        drawing.beside(encoder.taking[0].middle, room.bottom + 16, encoder.name, "x")
        return encoder

    def _merged(self, row: int) -> _Encoder:
        boxes = [self.drawing.subgraph(MERGED, LEFT, row)]
        (whole,) = boxes
        if "g_a" in self.has:
            boxes.append(self.drawing.subgraph("g_a", self.at.analysis, row, f"runs where {MERGED} is absent"))
        y, z = (whole.right - HEAD_ROOM, whole.bottom), (LEFT + EDGE, whole.bottom)
        return _Encoder(MERGED, y, z, boxes, max(box.bottom for box in boxes))

    def _apart(self, row: int) -> _Encoder:
        g_a, h_a = self.drawing.subgraph("g_a", self.at.analysis, row), self.drawing.subgraph("h_a", LEFT, row)
        self.drawing.arrow((g_a.x, row + _MEANS), (h_a.right, row + _MEANS))
        self.drawing.over(h_a.right + HEAD_ROOM, row + _MEANS, "g_a", "y")
        y, z = (g_a.middle, g_a.bottom), (h_a.middle, h_a.bottom)
        return _Encoder("g_a", y, z, [g_a], max(g_a.bottom, h_a.bottom))

    def _synthesis(self, top: int, row: int) -> list[Rectangle]:
        """g_s, its halves, or all; return the boxes that take y_hat, of which the first runs."""
        drawing, at, whole = self.drawing, self.at, synthesis_of(self.has) == "g_s"
        taking = [drawing.subgraph("g_s", at.synthesis, row)] if whole else []
        giving = list(taking)
        if "g_s_0" in self.has:
            remarks = ("runs where g_s is absent",) if whole else ()
            upper = drawing.subgraph("g_s_1", at.synthesis - (GAP + BOX if whole else 0), row, *remarks)
            lower = drawing.subgraph("g_s_0", upper.x, upper.bottom + 36, *remarks)
            drawing.arrow((lower.middle, lower.y), (lower.middle, upper.bottom), dashed=whole)
            drawing.beside(lower.middle, upper.bottom + 22, "g_s_0", "features")
            taking.append(lower)
            giving.append(upper)
        left = giving[-1].x
        room = drawing.box(left, top, at.right - left, ROOM, "room", "picture", note="CPU: numpy, cropping")
        for i, box in enumerate(giving):
            drawing.arrow((box.middle, row), (box.middle, room.bottom), dashed=i > 0)
        drawing.beside(giving[0].middle, room.bottom + 16, "g_s" if whole else "g_s_1", "x_hat", anchor="end")
        return taking

    def _y(self, encoder: _Encoder, level: int, row: int) -> None:
        """y down to the CPU, and to where the symbols of passes are formed."""
        (x, top), last = encoder.y, row + _MEANS - RADIUS
        self.drawing.arrow((x, top), (x, level), (self.at.second, level), (self.at.second, last))
        self.drawing.arrow((self.at.first, level), (self.at.first, last))
        self.drawing.beside(x, level - _LEVEL + 20, encoder.name, "y")
        for box in encoder.taking[1:]:
            self.drawing.arrow((box.middle, box.bottom), (box.middle, level), heads="none", dashed=True)

    def _y_hat(self, decoder: list[Rectangle], row: int, end: int) -> None:
        """y_hat from the last row of passes up to the accelerator."""
        at, box = self.at, decoder[0]
        self.drawing.arrow((at.decoded, row + _MEANS), (at.decoded, box.bottom))
        self.drawing.over(at.decoded - SPACE, end + _LEVEL, synthesis_of(self.has), "y_hat", anchor="end")
        for half in decoder[1:]:
            level = end - 14
            self.drawing.arrow((at.decoded, level), (half.middle, level), (half.middle, half.bottom), dashed=True)

    # What decides symbols
    def _hyper(self, encoder: _Encoder, end: int) -> tuple[Point, int]:
        """z to h_s; return where the symbols of z are, and the level of h_s's outputs."""
        drawing, at, half = self.drawing, self.at, box_height(3) // 2
        (x, top), merged = encoder.z, encoder.name == MERGED
        drawing.beside(x, end + 20, MERGED if merged else "h_a", "z")
        spare = self._spare_h_a(encoder, end) if merged and "h_a" in self.has else None
        middle = (spare.bottom + _ROW if spare else end + _LEVEL + HEAD_ROOM) + half
        drawing.arrow((x, top), *([(x, middle), (at.z - RADIUS, middle)] if merged else [(x, middle - RADIUS)]))
        if spare:
            drawing.arrow((at.z, spare.bottom), (at.z, middle - RADIUS), dashed=True)
        drawing.circle(at.z, middle, "Q")
        drawing.arrow((at.z + RADIUS, middle), (at.h_s, middle))
        drawing.over(at.z + RADIUS + SPACE, middle, H_S, "z_hat")
        h_s = drawing.subgraph(H_S, at.h_s, middle - half, height=2 * half)
        latents = h_s.bottom + 26
        drawing.arrow((h_s.middle, h_s.bottom), (h_s.middle, latents), (LATENTS_BUS, latents), heads="none")
        drawing.beside(LATENTS_BUS, latents - 5, H_S, "latent_means", "latent_scales")
        return (at.z, middle + RADIUS), latents

    def _spare_h_a(self, encoder: _Encoder, end: int) -> Rectangle:
        """h_a beside a merged graph, which gives z of whole images only."""
        row = end + _LEVEL + HEAD_ROOM
        box = self.drawing.subgraph("h_a", self.at.z - BOX // 2, row, f"runs beyond {self.drawing.texts.image}")
        self.drawing.arrow((box.middle, encoder.taking[0].bottom), (box.middle, row), dashed=True)
        return box

    def _passes(self, latents: int) -> list[int]:
        """The passes, slice by slice; return where each row begins, and where the next one would."""
        rows = [latents + _ROW]
        for k in range(len(self.manifest.model.groups)):
            rows.append(rows[k] + self._slice(k, rows[k]) + _ROW)
        for row, following in pairwise(rows[:-1]):
            self._buses(row, following + _MEANS - RADIUS, "none")
        self.drawing.arrow((LATENTS_BUS, latents), (LATENTS_BUS, rows[-2] + _READS), heads="none")
        return rows

    def _slice(self, k: int, row: int) -> int:
        """Both passes of a slice and what they read and give; return their height."""
        drawing, at = self.drawing, self.at
        height, names = self._read(k, row), [pass_name(k, half) for half in (ANCHOR, NONANCHOR)]
        columns = (at.anchor, at.nonanchor)
        boxes = [drawing.subgraph(name, x, row, height=height) for name, x in zip(names, columns, strict=True)]
        means, support = row + _MEANS, row + _SUPPORT
        for box, name, x in zip(boxes, names, (at.first, at.second), strict=True):
            drawing.arrow((box.right, means), (x - RADIUS, means))
            drawing.over(box.right + SPACE, means, name, "means", "scales")
            drawing.circle(x, means, "Q")
        drawing.arrow((at.first + RADIUS, means), (at.nonanchor, means))
        drawing.over(at.first + RADIUS + SPACE, means, names[NONANCHOR], "y_hat_anchor")
        drawing.arrow((boxes[ANCHOR].right, support), (at.nonanchor, support))
        drawing.over(boxes[ANCHOR].right + SPACE, support, names[ANCHOR], "support")
        drawing.arrow((at.second + RADIUS, means), (at.decoded, means), heads="none")
        drawing.text(at.second + RADIUS + SPACE, means - 5, f"y_hat_{k}")
        size = drawing.texts.sized(dimensions(self.manifest.model.groups[k], LATENT_STRIDE))
        drawing.text(at.second + RADIUS + SPACE, means + 13, size)
        return max(box.height for box in boxes)

    def _read(self, k: int, row: int) -> int:
        """What the anchor pass of a slice reads: the latents, and decoded slices; return the height that this takes."""
        level, right = row + _READS, self.at.anchor
        self.drawing.arrow((LATENTS_BUS, level), (right, level))
        for role in read_by(self.manifest.model, k):
            level += _READ
            self.drawing.arrow((READS, level), (right, level))
            self.drawing.beside(READS - SPACE, level - 5, pass_name(k, ANCHOR), role)
        return max(_PASS, level + HEAD_ROOM - row)

    def _buses(self, row: int, to: int, heads: Heads) -> None:
        """The symbols of passes, from a row down; those of the anchor pass make way for support."""
        start, support = row + _MEANS + RADIUS, row + _SUPPORT
        self.drawing.arrow((self.at.first, start), (self.at.first, support - _BREAK), heads="none")
        for x, y in ((self.at.first, support + _BREAK), (self.at.second, start)):
            self.drawing.arrow((x, y), (x, to), heads=heads)

    def _coder(self, z: Point, row: int, below: int) -> int:
        """The entropy coder and the file, below the last row; return where they end."""
        drawing, at = self.drawing, self.at
        top = below + _ROW
        self._buses(row, top, "end")
        x, y = z
        drawing.arrow((x, y), (x, y + HEAD_ROOM), (Z_BUS, y + HEAD_ROOM), (Z_BUS, top))
        drawing.text(Z_BUS + SPACE, y + HEAD_ROOM + 13, "symbols")
        width = at.second + RADIUS + GAP - LEFT
        does = "compress: symbols in, one stream for z and one for each pass out; decompress: the other way"
        coder = drawing.box(LEFT, top, width, box_height(1), "room", "entropy coder", does)
        file = drawing.box(LEFT, coder.bottom + _ROW, width, ROOM, "room", "file, .elic")
        drawing.arrow((file.middle, coder.bottom), (file.middle, file.y), heads="both")
        return file.bottom
