"""What it costs to compute a photograph in windows of a shape, to choose the shape of an export."""

from dataclasses import dataclass

from elic_runtime.shapes import DOWNSAMPLING, LATENT_STRIDE, Extent
from elic_runtime.windows import Windows, halo_of_transform

from elic_export.config import MAX_EXPORT_PIXELS

SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
"""Heights and widths of square shapes to choose from, in pixels."""


@dataclass(frozen=True)
class ShapeCost:
    """The windows of a photograph.

    Parameters
    ----------
    height, width : int
        Shape of the graphs in pixels.
    windows : int
        How often g_a, and g_s, run.
    computed : float
        The pixels that they compute for each one of the photograph.

    """

    height: int
    width: int
    windows: int
    computed: float


def shape_costs(height: int, width: int, halo: int) -> list[ShapeCost]:
    """Return what a photograph costs in shapes to choose from; the last one takes it whole, if it can be exported.

    Parameters
    ----------
    height, width : int
        Size of the photograph in pixels.
    halo : int
        Positions of y around the core of a window.

    """
    padded = tuple(-(-size // DOWNSAMPLING) * DOWNSAMPLING for size in (height, width))
    shapes = [(size, size) for size in SIZES if size <= max(padded)]
    if padded[0] * padded[1] <= MAX_EXPORT_PIXELS and padded not in shapes:
        shapes.append((padded[0], padded[1]))
    return [_cost(shape, (height, width), halo) for shape in shapes]


def _cost(shape: tuple[int, int], photograph: tuple[int, int], halo: int) -> ShapeCost:
    windows = Windows("g_a", Extent.one(*shape), halo_of_transform(halo, None), LATENT_STRIDE)
    padded = (max(n, -(-size // DOWNSAMPLING) * DOWNSAMPLING) for n, size in zip(shape, photograph, strict=True))
    areas = windows.over(*padded)
    computed = len(areas) * shape[0] * shape[1] / (photograph[0] * photograph[1])
    return ShapeCost(*shape, len(areas), computed)
