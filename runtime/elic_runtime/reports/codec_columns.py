"""Where columns stand in the picture of a codec, so far apart that the labels between them have room."""

from collections.abc import Set
from dataclasses import dataclass

from elic_runtime.model_info import ModelInfo
from elic_runtime.reports.diagram import RADIUS, text_width
from elic_runtime.reports.subgraph_drawing import BOX, GAP, INSIDE, MARGIN, SPACE, SubgraphDrawing
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR, pass_name

LEFT = MARGIN + INSIDE
"""Left edge of everything in a frame."""

Z_BUS, LATENTS_BUS, READS = LEFT + 4, LEFT + 22, LEFT + 34
"""Where the symbols of z and the latents' parameters run down, and where the slices begin that a pass reads."""

HEAD_ROOM, EDGE = 14, 8
"""Pixels behind a label, in which the head of an arrow has room, and beside a line at a box's edge."""

MERGED = "g_a_h_a"


@dataclass(frozen=True)
class Columns:
    """Left edges of boxes and middles of lines, in pixels.

    Parameters
    ----------
    analysis, synthesis : int
        Boxes of g_a and g_s; that of h_a, or g_a_h_a, is at `LEFT`.
    z : int
        Where z is rounded.
    h_s : int
        Its box.
    anchor, nonanchor : int
        Boxes of the passes.
    first, second : int
        Where the symbols of a pass are formed or read, behind its box.

    """

    analysis: int
    synthesis: int
    z: int
    h_s: int
    anchor: int
    first: int
    nonanchor: int
    second: int

    @property
    def decoded(self) -> int:
        """Where y_hat is collected, and runs up to g_s."""
        return self.right - EDGE

    @property
    def right(self) -> int:
        """Where everything in a frame ends."""
        return self.synthesis + BOX

    @property
    def width(self) -> int:
        """Width of the whole picture."""
        return self.right + INSIDE + MARGIN


def columns(drawing: SubgraphDrawing) -> Columns:
    """Place the columns for a bundle."""
    manifest = drawing.texts.manifest
    has, slices, over = manifest.subgraphs.keys(), range(len(manifest.model.groups)), drawing.over_width
    passes = [pass_name(k, half) for k in slices for half in (ANCHOR, NONANCHOR)]
    analysis = LEFT + BOX + (GAP if MERGED in has else over("g_a", "y") + 2 * HEAD_ROOM)
    z = LEFT + BOX // 2 + (30 if MERGED in has else 0)
    h_s = z + RADIUS + over(H_S, "z_hat") + HEAD_ROOM + SPACE
    read = [drawing.beside_width(pass_name(k, ANCHOR), role) for k in slices for role in read_by(manifest.model, k)]
    anchor = READS + max(read, default=0) + HEAD_ROOM
    given = [over(name, "means", "scales") for name in passes] + [over(name, "support") for name in passes[ANCHOR::2]]
    behind = BOX + SPACE + max(given) + HEAD_ROOM + RADIUS
    first = max(anchor + behind, h_s + BOX + HEAD_ROOM)
    decoded_half = max(over(name, "y_hat_anchor") for name in passes[NONANCHOR::2])
    nonanchor = first + RADIUS + SPACE + decoded_half + HEAD_ROOM
    second = nonanchor + behind
    decoded = second + RADIUS + SPACE + max(over(synthesis_of(has), "y_hat"), text_width("y_hat_99")) + HEAD_ROOM
    split = GAP + BOX if {"g_s", "g_s_0"} <= has else 0
    synthesis = max(decoded + EDGE - BOX, analysis + BOX + GAP + split)
    return Columns(analysis, synthesis, z, h_s, anchor, first, nonanchor, second)


def read_by(model: ModelInfo, k: int) -> list[str]:
    """Return the roles of the decoded slices that the anchor pass of slice k reads."""
    return [f"y_hat_{i}" for i in model.context_slices[k]]


def synthesis_of(names: Set[str]) -> str:
    """Return the subgraph that takes y_hat."""
    return "g_s" if "g_s" in names or "g_s_0" not in names else "g_s_0"
