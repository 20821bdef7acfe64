"""A picture of a bundle: its subgraphs, the tensors between them, and where CPU and accelerator meet.

```
manifest ─ subgraph_texts.py ─ subgraph_drawing.py ─ codec_columns.py, codec_graph.py, or no_entropy_graph.py ─ SVG
```
"""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from elic_runtime.bundle import Bundle
from elic_runtime.manifest import Manifest
from elic_runtime.reports.codec_columns import MERGED, columns, synthesis_of
from elic_runtime.reports.codec_graph import CodecGraph
from elic_runtime.reports.diagram import LINE, Kind, text_width
from elic_runtime.reports.no_entropy_graph import draw_no_entropy, no_entropy_width
from elic_runtime.reports.subgraph_drawing import MARGIN, SubgraphDrawing
from elic_runtime.reports.subgraph_texts import SubgraphTexts, short
from elic_runtime.subgraphs import NO_ENTROPY, deciding_names

_SWATCH, _SPACE = 26, 8
"""Width of a patch of colour, and pixels beside it."""

_SIDES: tuple[tuple[Kind, str], ...] = (
    ("encoder", "subgraph of the encoder"),
    ("both", "subgraph that decides symbols, run by both halves"),
    ("decoder", "subgraph of the decoder"),
)


def draw_bundle(manifest: Manifest, sizes: Mapping[str, int] | None = None) -> str:
    """Draw a bundle.

    Parameters
    ----------
    manifest : Manifest
        Its manifest.
    sizes : mapping of str to int, optional
        Bytes of the subgraphs' files, as `file_sizes` returns them.

    Returns
    -------
    str
        An SVG element, about 1200 pixels wide, which can stand alone or in a page.

    Raises
    ------
    BundleError
        If the manifest lacks subgraphs that the form needs.
    ElicError
        If Jinja2 is not installed.

    """
    texts = SubgraphTexts(manifest, sizes or {})
    drawing = SubgraphDrawing(texts)
    if manifest.form == "no-entropy":
        width = no_entropy_width(drawing)
        bottom = draw_no_entropy(drawing, _header(drawing, width))
        bottom = _remarks(drawing, bottom + 2 * LINE, [_counted(texts)], width)
    else:
        at = columns(drawing)
        width = at.width
        bottom = CodecGraph(drawing, at).draw(_header(drawing, width))
        bottom = _legend(drawing, bottom + 2 * LINE)
        bottom = _remarks(drawing, bottom, [*_explained(manifest), _counted(texts)], width)
    return drawing.svg(width, bottom + MARGIN - LINE, f"Subgraphs of a {manifest.form} bundle")


def file_sizes(bundle: Bundle) -> dict[str, int]:
    """Return the bytes of each subgraph whose files are there, weights in files of their own included.

    Parameters
    ----------
    bundle : Bundle
        The bundle.

    """
    return {
        name: sum((bundle.folder / part.file).stat().st_size for part in (info, info.external_data) if part)
        for name, info in bundle.manifest.subgraphs.items()
        if bundle.has(name)
    }


def _header(drawing: SubgraphDrawing, width: int) -> int:
    """Write what the bundle is; return where the picture begins."""
    manifest, y = drawing.texts.manifest, MARGIN + LINE
    model, batch = manifest.model, manifest.batch
    drawing.text(MARGIN, y, f"{manifest.form} bundle, {_shapes(manifest)} (height x width)", "band")
    said = [
        f"ELIC {model.variant}, N {model.N}, M {model.M}, slices {', '.join(map(str, model.groups))}; "
        f"{manifest.precision}, {manifest.arithmetic} context arithmetic, opset {manifest.opset}"
        + ("" if batch.max == 1 else f", batches of {batch}"),
        *_totals(drawing.texts),
        *(f"compiled by {tool} {c.version} for {c.platform}, {c.precision}" for tool, c in manifest.compiled.items()),
    ]
    return _remarks(drawing, y + 20, said, width) + 2


def _shapes(manifest: Manifest) -> str:
    """Return the images that a bundle takes, as `elic info` does."""
    decoder = "" if manifest.decoder == manifest.encoder else f", decoder {manifest.decoder}"
    return f"{manifest.encoder}{decoder}" + ("" if manifest.cpu is None else f", on the CPU {manifest.cpu}")


def _totals(texts: SubgraphTexts) -> list[str]:
    """Say what encoding and decoding compute, if the manifest has counts."""
    manifest = texts.manifest
    has = manifest.subgraphs.keys()
    if manifest.form == "no-entropy":
        parts: dict[str, Sequence[str]] = {"end to end": [NO_ENTROPY]}
    else:
        deciding, synthesis = deciding_names(manifest.model), synthesis_of(has)
        analysis = [MERGED] if MERGED in has else ["g_a", "h_a"]
        last = ["g_s"] if synthesis == "g_s" else ["g_s_0", "g_s_1"]
        parts = {"compress": [*analysis, *deciding], "decompress": [*deciding, *last]}
    work = {what: texts.per_pixel(*names) for what, names in parts.items()}
    said = [
        f"{what} {short(each)} multiply-adds per pixel, {short(each * texts.image.pixels)} in all"
        for what, each in work.items()
        if each is not None
    ]
    return ["; ".join(said)] if said else []


def _legend(drawing: SubgraphDrawing, y: int) -> int:
    """Say what the colours mean; return the next base line."""
    x = MARGIN
    for kind, meaning in _SIDES:
        drawing.rectangle(x, y - 12, _SWATCH, 16, kind)
        drawing.text(x + _SWATCH + _SPACE, y, meaning, "note")
        x += _SWATCH + _SPACE + text_width(meaning, "note") + 2 * _SPACE
    return y + LINE + 5


def _explained(manifest: Manifest) -> list[str]:
    said = [
        "Q: compress rounds (y - means) / step to symbols, and z - medians; decompress reads these symbols; both make "
        "y_hat and z_hat of them"
    ]
    spare = MERGED in manifest.subgraphs or "g_s_0" in manifest.subgraphs
    return said + (["Dashed: runs only as its box says"] if spare else [])


def _counted(texts: SubgraphTexts) -> str:
    return f"Tensors are those of one image; multiply-adds in all are those of one image of {texts.image}"


def _remarks(drawing: SubgraphDrawing, y: int, texts: Sequence[str], width: int) -> int:
    """Write texts from a base line down, in lines that fit; return the next base line."""
    length = (width - 2 * MARGIN) // text_width("x", "note")
    for text in texts:
        for line in wrap(text, length):
            drawing.text(MARGIN, y, line, "note")
            y += LINE
    return y
