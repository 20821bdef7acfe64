"""The picture of a no-entropy bundle: one graph on the accelerator, and what the CPU does before and after it."""

from elic_runtime.reports.codec_columns import HEAD_ROOM, LEFT
from elic_runtime.reports.subgraph_drawing import BOX, GAP, INSIDE, MARGIN, ROOM, SPACE, SubgraphDrawing
from elic_runtime.subgraphs import NO_ENTROPY

_FIRST, _NEXT = 24, 40
"""Pixels from the top of the graph's box to its first output, and from one output to the next."""


def no_entropy_width(drawing: SubgraphDrawing) -> int:
    """Return the width of the picture."""
    return _right(drawing) + INSIDE + MARGIN


def draw_no_entropy(drawing: SubgraphDrawing, top: int) -> int:
    """Draw the graph and what is around it from `top` down, and return where that ends."""
    outputs = [tensor.role for tensor in drawing.texts.info(NO_ENTROPY).outputs]
    left, row = _left(drawing), top + 34
    box = drawing.subgraph(NO_ENTROPY, left, row, height=_FIRST + _NEXT * len(outputs))
    end = box.bottom + INSIDE
    drawing.frame(MARGIN, top, _right(drawing) + INSIDE - MARGIN, end - top)
    drawing.text(LEFT, top + 20, "Accelerator: one graph, end to end", "band")
    drawing.text(left, end + 22, "CPU: numpy", "band")
    below, level = end + 44, row + _FIRST
    photograph = drawing.box(LEFT, below, BOX, ROOM, "room", "photograph", note="padding")
    drawing.arrow((photograph.middle, below), (photograph.middle, level), (box.x, level))
    drawing.over(photograph.middle + SPACE, level, NO_ENTROPY, "input")
    rate, picture = box.right + GAP, box.right + 2 * GAP + BOX
    drawing.box(picture, below, BOX, ROOM, "room", "picture", note="cropping")
    if len(outputs) > 1:
        drawing.box(rate, below, BOX, ROOM, "room", "bits", note="-log2, summed")
    turns = [picture + BOX // 2, rate + BOX - 30, rate + BOX - 80]
    for i, (role, turn) in enumerate(zip(outputs, turns, strict=False)):
        out = level + _NEXT * i
        drawing.arrow((box.right, out), (turn, out), (turn, below))
        drawing.over(box.right + SPACE, out, NO_ENTROPY, role)
    return below + ROOM


def _left(drawing: SubgraphDrawing) -> int:
    """Return where the graph's box begins, beside the name of its input."""
    return LEFT + BOX // 2 + SPACE + drawing.over_width(NO_ENTROPY, "input") + HEAD_ROOM + GAP


def _right(drawing: SubgraphDrawing) -> int:
    return _left(drawing) + BOX + 2 * (GAP + BOX)
