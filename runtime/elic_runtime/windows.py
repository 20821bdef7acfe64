"""Windows: the areas of an image, or of its latent, that a graph of limited size computes one after the other.

A window is larger than what is kept of it. The part around its core, the halo, is what outputs at the core's border
depend on, so that a core holds what the graph would compute of the whole. Windows are clamped into the image: at its
true borders there is no halo, and the graph pads there as it does for a whole image.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import EllipsisType

from elic_runtime.entries import Reach
from elic_runtime.errors import BundleError
from elic_runtime.shapes import DOWNSAMPLING, LATENT_STRIDE, Extent
from elic_runtime.subgraphs import Subgraph, Tensor

DEFAULT_HALO = 3
"""Positions of y around a core of g_a and g_s. Measured at 512x512: 3 changes no rounding of y and x_hat by 1e-6; 2
changes 1.5e-4 of the roundings and costs 0.0002 dB; 1 is seen."""

Place = tuple[EllipsisType, slice, slice]
"""Rows and columns of an array, as an index of its last two axes."""

MAX_HALO = 16
"""Beyond the receptive field of both, which is 9 positions of y."""


@dataclass(frozen=True)
class Span:
    """A window along one axis, in pixels of the image.

    Parameters
    ----------
    start, stop : int
        What the graph is given.
    first, last : int
        What is kept of its outputs, from `first` to before `last`.

    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Size of what the graph is given."""
        return self.stop - self.start


@dataclass(frozen=True)
class Window:
    """A window of an image.

    Parameters
    ----------
    rows, columns : Span
        Its two axes.

    """

    rows: Span
    columns: Span

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels, of what the graph is given."""
        return self.rows.size, self.columns.size

    def area(self, tensor: Tensor) -> Place:
        """Return the rows and columns of a tensor that the graph is given."""
        rows, columns = strides(tensor)
        return (
            ...,
            slice(self.rows.start // rows, self.rows.stop // rows),
            slice(self.columns.start // columns, self.columns.stop // columns),
        )

    def core(self, tensor: Tensor) -> Place:
        """Return the rows and columns of a tensor of the whole that are kept."""
        rows, columns = strides(tensor)
        return (
            ...,
            slice(self.rows.first // rows, self.rows.last // rows),
            slice(self.columns.first // columns, self.columns.last // columns),
        )

    def kept(self, tensor: Tensor) -> Place:
        """Return the same rows and columns, counted within what the graph returns."""
        (_, area_rows, area_columns), (_, rows, columns) = self.area(tensor), self.core(tensor)
        top, left = area_rows.start, area_columns.start
        return ..., slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)


def strides(tensor: Tensor) -> tuple[int, int]:
    """Return the pixels of the image per row and per column of a tensor. Columns of a packed one are twice as wide."""
    if tensor.stride is None:
        raise ValueError("this tensor's shape is decided at export")
    return tensor.stride, tensor.stride * (2 if tensor.packed else 1)


@dataclass(frozen=True)
class Windows:
    """The windows that a graph needs for images of any size.

    Parameters
    ----------
    name : str
        Name of the subgraph, for error messages.
    extent : Extent
        The shapes of x that the graph takes.
    halo : Reach, optional
        Pixels around a core that its outputs depend on. None if that is not known, so that there is one window only.
    step : int
        Pixels that the borders of windows and of cores are multiples of.

    """

    name: str
    extent: Extent
    halo: Reach | None
    step: int

    @classmethod
    def of(cls, declared: Subgraph, extent: Extent, halo: Reach | None) -> "Windows":
        """Return the windows of a subgraph, whose tensors must all be whole at the borders.

        Parameters
        ----------
        declared : Subgraph
            Its inputs and outputs.
        extent : Extent
            The shapes of x that the graph takes.
        halo : Reach, optional
            Pixels around a core that its outputs depend on.

        """
        tensors = (*declared.inputs.values(), *declared.outputs.values())
        return cls(declared.name, extent, halo, max(max(strides(tensor)) for tensor in tensors))

    @property
    def room(self) -> bool:
        """Whether the largest window has room for a core, so that images may be larger than it."""
        high, halo = self.extent.max, self.halo
        return halo is not None and (
            self._fits(high.height, halo.top, halo.bottom) and self._fits(high.width, halo.left, halo.right)
        )

    def whole(self, height: int, width: int) -> bool:
        """Return whether an image is one window."""
        return height <= self.extent.max.height and width <= self.extent.max.width

    def over(self, height: int, width: int) -> list[Window]:
        """Return the windows of an image row by row, whose cores cover it without overlap.

        Parameters
        ----------
        height, width : int
            Size of the image in pixels, multiples of 64 and not less than the extent's smallest.

        Raises
        ------
        BundleError
            If the largest window has no room for a core.

        """
        low, high, halo = self.extent.min, self.extent.max, self.halo
        if not self.whole(height, width) and not self.room:
            raise BundleError(
                f"{self.name} takes {self.extent}, which is too small for windows of a larger image: export it for "
                "larger images, or code in tiles"
            )
        if halo is None:
            halo = Reach(top=0, bottom=0, left=0, right=0)
        rows = self._spans(height, low.height, high.height, halo.top, halo.bottom)
        columns = self._spans(width, low.width, high.width, halo.left, halo.right)
        return [Window(row, column) for row in rows for column in columns]

    def _spans(self, size: int, smallest: int, largest: int, before: int, after: int) -> list[Span]:
        """Return as few spans as possible, and these as short as possible."""
        if size <= largest:
            return [Span(0, size, 0, size)]
        fewest = list(self._cut(size, largest, before, after))
        for length in range(max(smallest, DOWNSAMPLING), largest, DOWNSAMPLING):
            if self._fits(length, before, after):
                spans = list(self._cut(size, length, before, after))
                if len(spans) == len(fewest):
                    return spans
        return fewest

    def _fits(self, length: int, before: int, after: int) -> bool:
        return _up(before, self.step) + self.step + _up(after, self.step) <= length

    def _cut(self, size: int, length: int, before: int, after: int) -> Iterator[Span]:
        first = 0
        while first < size:
            start = max(0, first - _up(before, self.step))
            if start + length >= size:
                yield Span(size - length, size, first, size)
                return
            last = start + length - _up(after, self.step)
            yield Span(start, start + length, first, last)
            first = last


def halo_of_transform(positions: int, reach: Reach | None) -> Reach:
    """Return the halo of g_a or g_s, which decide nothing, in pixels.

    Parameters
    ----------
    positions : int
        Positions of y on each side.
    reach : Reach, optional
        What the graph sees, if it was measured; more is of no use.

    """
    wanted = positions * LATENT_STRIDE
    sides: Mapping[str, int] = reach.model_dump() if reach else dict.fromkeys(Reach.model_fields, wanted)
    return Reach(**{side: min(wanted, seen) for side, seen in sides.items()})


def _up(pixels: int, step: int) -> int:
    return -(-pixels // step) * step
