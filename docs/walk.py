"""Draw `images/walk.svg`: how a checkpoint becomes a bundle, and how an image walks through it.

The subgraphs, their tensors and who needs them are the code's own table, of the default model. After a change of
the table, run `python docs/walk.py`: a test compares the committed picture with what this script draws.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from elic_export.graphs.declare import model_info
from elic_models.spec import ModelSpec
from elic_runtime.reports.diagram import CHARACTER, PADDING, SIZES, Drawing, Kind
from elic_runtime.shapes import Dim
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR, Subgraph, pass_name, subgraphs

PICTURE = Path(__file__).parent / "images" / "walk.svg"

WIDTH, HEIGHT, MARGIN = 1280, 1126, 20
LANE = 300
"""Width of what the encoder or the decoder runs alone."""
LEFT, CENTRE, RIGHT = MARGIN, MARGIN + LANE + 50, WIDTH - MARGIN - LANE
MIDDLE = RIGHT - 50 - CENTRE
"""Where the three columns begin, and the width of the one between."""


def draw() -> str:
    """Draw the picture of the default model."""
    model = model_info(ModelSpec())
    drawing = Drawing()
    _draw_export(drawing)
    _draw_runtime(drawing, subgraphs(model), len(model.groups))
    title = "How a checkpoint becomes a bundle, and how an image walks through it"
    return drawing.svg(WIDTH, HEIGHT, title, paper=True) + "\n"


def _draw_export(drawing: Drawing) -> None:
    """The first band: the rooms of the exporter, from left to right."""
    drawing.text(MARGIN, 34, "Export, once, with PyTorch", "band")
    rooms = [
        ("checkpoint", ("elic_models/", "checkpoints", "tensors -> ELIC")),
        ("exact", ("elic_export/exact", "h_s and context", "in integers")),
        ("graphs", ("elic_export/graphs", "a declaration", "per subgraph")),
        ("passes", ("elic_export/passes", "rewrites, cuts,", "fp16, operators")),
        ("bundle", ("bundle.py", "ONNX graphs, tables,", "manifest.json")),
        ("targets", ("elic_export/targets", "inputs of compilers,", "into the bundle")),
        ("parity", ("elic_export/parity", "bundle against", "PyTorch: verdicts")),
    ]
    width, gap, top, height = 160, 20, 48, 78
    for i, (title, lines) in enumerate(rooms):
        x = MARGIN + i * (width + gap)
        drawing.box(x, top, width, height, "room", title, *lines)
        if i:
            drawing.arrow((x - gap, top + height // 2), (x, top + height // 2))
    bundle = MARGIN + 4 * (width + gap) + width // 2
    drawing.arrow((bundle, top + height), (bundle, 186))
    drawing.text(bundle + 10, 158, "one runner for each subgraph: runners/", "note")


def _draw_runtime(drawing: Drawing, table: dict[str, Subgraph], n_slices: int) -> None:
    """The second band: the encoder alone, what both halves run, the decoder alone."""
    drawing.text(MARGIN, 176, "Runtime, on numpy and ONNX Runtime", "band")
    drawing.text(LEFT, 204, "compress: the encoder alone", "note")
    drawing.text(RIGHT, 204, "decompress: the decoder alone", "note")
    drawing.text(CENTRE, 204, "both halves, with the same bits: context.py walks the passes in this order", "note")
    bottom = _draw_both(drawing, table, n_slices)
    file = _draw_coding(drawing, bottom)
    _draw_encoder(drawing, table, file)
    _draw_decoder(drawing, table, file)
    _draw_legend(drawing, file + 84)


def _draw_both(drawing: Drawing, table: dict[str, Subgraph], n_slices: int) -> int:
    """What encoder and decoder run, from z to the last pass. Returns where it ends."""
    x, width, y = CENTRE + 12, MIDDLE - 24, 226
    top, column = y - 12, CENTRE + MIDDLE // 2
    drawing.box(x, y, width, 61, "room", "symbols of z: codec.py", "z_hat = symbols + medians, those of tables.py")
    drawing.arrow((column, y + 61), (column, y + 76))
    y += 76
    drawing.box(x, y, width, 76, "both", *_described(table[H_S]))
    drawing.arrow((column, y + 76), (column, y + 91))
    y += 91
    half, row = (width - 30) // 2, 98
    for k in range(n_slices):
        drawing.box(x, y, half, row - 8, "both", *_pass(table[pass_name(k, ANCHOR)], half))
        drawing.box(x + half + 30, y, half, row - 8, "both", *_pass(table[pass_name(k, NONANCHOR)], half))
        drawing.arrow((x + half, y + 45), (x + half + 30, y + 45))
        y += row
    drawing.frame(CENTRE, top, MIDDLE, y + 4 - top)
    return y + 4


def _draw_coding(drawing: Drawing, top: int) -> int:
    """What the walk gives to the coder or takes from it, down to the file. Returns where the file begins."""
    column, coder = CENTRE + MIDDLE // 2, top + 46
    drawing.arrow((column, top), (column, coder), heads="both")
    drawing.text(column + 12, top + 20, "symbols of each pass, and", "note")
    drawing.text(column + 12, top + 36, "the scale index of each symbol", "note")
    drawing.text(column - 12, top + 20, "down: compress", "note", "end")
    drawing.text(column - 12, top + 36, "up: decompress", "note", "end")
    drawing.box(CENTRE, coder, MIDDLE, 56, "room", "entropy coder: coder/", "a stream for z, and one for each pass")
    file = coder + 82
    drawing.arrow((column, coder + 56), (column, file), heads="both")
    drawing.box(CENTRE, file, MIDDLE, 56, "room", "file, .elic: container.py", "header, streams and checksums")
    return file


def _draw_encoder(drawing: Drawing, table: dict[str, Subgraph], file: int) -> None:
    """The encoder alone: upwards."""
    column = LEFT + LANE // 2
    drawing.box(LEFT, file, LANE, 56, "room", "image: images/", "uint8 [H, W, 3]")
    drawing.box(LEFT, 720, LANE, 56, "room", "padding and tiles", "pixels.py, tiles.py")
    drawing.arrow((column, file), (column, 776))
    drawing.box(LEFT, 440, LANE, 86, "encoder", *_described(table["g_a"]), "(g_a_h_a: both in one graph)")
    drawing.arrow((column, 720), (column, 526))
    drawing.box(LEFT, 226, LANE, 71, "encoder", *_described(table["h_a"]))
    drawing.arrow((column, 440), (column, 297))
    drawing.text(column + 10, 374, "y", "title")
    for y, name in ((254, "z"), (483, "y")):
        drawing.arrow((LEFT + LANE, y), (CENTRE + (12 if name == "z" else 0), y))
        drawing.text(LEFT + LANE + 8, y - 8, name, "title")


def _draw_decoder(drawing: Drawing, table: dict[str, Subgraph], file: int) -> None:
    """The decoder alone: downwards."""
    column = RIGHT + LANE // 2
    drawing.box(RIGHT, 440, LANE, 86, "decoder", *_described(table["g_s"]), "(g_s_0, g_s_1: in two graphs)")
    drawing.arrow((CENTRE + MIDDLE, 483), (RIGHT, 483))
    drawing.text(RIGHT - 6, 475, "y_hat", "title", "end")
    drawing.box(RIGHT, 720, LANE, 56, "room", "tiles joined and cropped", "tiles.py, pixels.py")
    drawing.arrow((column, 526), (column, 720))
    drawing.box(RIGHT, file, LANE, 56, "room", "image: images/", "uint8 [H, W, 3]")
    drawing.arrow((column, 776), (column, file))


def _draw_legend(drawing: Drawing, y: int) -> None:
    """What the colours mean."""
    x = MARGIN
    meanings: tuple[tuple[Kind, str], ...] = (
        ("encoder", "subgraph of the encoder"),
        ("both", "subgraph that decides symbols, run by both"),
        ("decoder", "subgraph of the decoder"),
        ("room", "code"),
    )
    for kind, meaning in meanings:
        drawing.rectangle(x, y, 26, 16, kind)
        drawing.text(x + 34, y + 12, meaning, "note")
        x += 34 + 8 * len(meaning) + 30


def _described(graph: Subgraph) -> list[str]:
    """A subgraph's name, and its tensors with their shapes."""
    taken = [f"in  {role} {_shape(tensor.dims)}" for role, tensor in graph.inputs.items()]
    return [graph.name, *taken, *(f"out {role} {_shape(tensor.dims)}" for role, tensor in graph.outputs.items())]


def _pass(graph: Subgraph, width: int) -> list[str]:
    """A pass's name, its inputs in as many lines as they take, and its outputs, means first."""
    characters = int((width - 2 * PADDING) / (CHARACTER * SIZES[""]))
    taken = wrap("in  " + ", ".join(graph.inputs), characters, subsequent_indent="    ")
    given = f"out {', '.join(graph.outputs)}"
    return [graph.name, *taken, given, f"    means {_shape(graph.outputs['means'].dims)}"]


def _shape(dims: tuple[Dim, ...]) -> str:
    """[B, channels, height, width] with the image's H and W in it, as people write it in this project: no batch."""
    channels, height, width = dims[1:]
    return f"[{channels}, {_fraction(height, 'H')}, {_fraction(width, 'W')}]"


def _fraction(dim: Dim, of: str) -> str:
    divisor = str(dim).rpartition("_")[2]
    return f"{of}/{divisor}" if divisor.isdigit() else of


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8", newline="\n")
