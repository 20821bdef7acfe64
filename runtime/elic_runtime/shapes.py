"""Shapes of tensors and of images, whose dimensions may be open.

A dimension is a number or a symbol, which names an axis of the image and a divisor: `batch`, `height`, or `width_16`
for the width in pixels divided by 16. The exporter writes symbols into graphs and manifests, and the codec replaces
them with numbers.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DOWNSAMPLING = 64
"""Pixels per position of z. The height and the width of x are multiples of this."""

LATENT_STRIDE = 16
"""Pixels per position of y."""

MAX_BATCH = 1024
"""Largest number of images that a graph takes at once."""

MAX_PIXELS = 1 << 27
"""Default limit of the pixels of an image, and the limit of those of a tile: 16384 x 8192, or 403 MB as RGB."""

Dim = int | str
"""A dimension: a number or a symbol."""

_SYMBOL = re.compile(r"(batch|height|width)(?:_([1-9]\d{0,4}))?")


class Record(BaseModel):
    """Immutable data that is validated when it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(Record):
    """The height and the width of x in pixels, which are multiples of 64."""

    height: Annotated[int, Field(gt=0, le=65536, multiple_of=DOWNSAMPLING)]
    width: Annotated[int, Field(gt=0, le=65536, multiple_of=DOWNSAMPLING)]

    def __le__(self, other: "Shape") -> bool:
        """Return whether it is not larger in any direction."""
        return self.height <= other.height and self.width <= other.width

    @property
    def pixels(self) -> int:
        """How many pixels an image of this shape has."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class Extent(Record):
    """The shapes of x that a graph takes, from `min` to `max`; these are equal if the graph takes one shape only."""

    min: Shape
    max: Shape

    @model_validator(mode="after")
    def _check(self) -> "Extent":
        if not self.min <= self.max:
            raise ValueError(f"min {self.min} is larger than max {self.max}")
        return self

    @classmethod
    def one(cls, height: int, width: int) -> "Extent":
        """Return an extent of one shape only."""
        shape = Shape(height=height, width=width)
        return cls(min=shape, max=shape)

    @property
    def fixed(self) -> bool:
        """Whether there is one shape only."""
        return self.min == self.max

    def holds(self, height: int, width: int) -> bool:
        """Return whether the extent includes a shape of x."""
        return (
            self.min.height <= height <= self.max.height
            and self.min.width <= width <= self.max.width
            and not (height % DOWNSAMPLING or width % DOWNSAMPLING)
        )

    def __str__(self) -> str:
        return str(self.min) if self.fixed else f"{self.min}..{self.max}"


class Batch(Record):
    """How many images a graph takes at once, from `min` to `max`."""

    min: Annotated[int, Field(strict=True, gt=0, le=MAX_BATCH)] = 1
    max: Annotated[int, Field(strict=True, gt=0, le=MAX_BATCH)] = 1

    @model_validator(mode="after")
    def _check(self) -> "Batch":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is larger than max {self.max}")
        return self

    @property
    def fixed(self) -> bool:
        """Whether there is one number only."""
        return self.min == self.max

    def __str__(self) -> str:
        return str(self.min) if self.fixed else f"{self.min}..{self.max}"


def _both(value: object) -> object:
    """Use a single shape or number as both `min` and `max`."""
    return value if isinstance(value, Extent | Batch) or _has_ends(value) else {"min": value, "max": value}


def _has_ends(value: object) -> bool:
    return isinstance(value, Mapping) and not {"min", "max"}.isdisjoint(value)


AnyExtent = Annotated[Extent, BeforeValidator(_both)]
"""An extent, which may be written as `{height, width}` or as `{min, max}` of two of these."""

AnyBatch = Annotated[Batch, BeforeValidator(_both)]
"""A batch, which may be written as a number or as `{min, max}`."""


def symbol(axis: str, divisor: int = 1) -> str:
    """Return the symbol of a dimension that is an axis of the image divided by `divisor`."""
    return axis if divisor == 1 else f"{axis}_{divisor}"


def dimensions(channels: int, stride: int, *, packed: bool = False) -> tuple[Dim, ...]:
    """Return the shape [batch, channels, H / stride, W / stride] in symbols; if packed, the width is half of that."""
    return "batch", channels, symbol("height", stride), symbol("width", 2 * stride if packed else stride)


def fix(shape: Sequence[Dim], sizes: Mapping[str, int]) -> tuple[Dim, ...]:
    """Replace the symbols of a shape with numbers, as far as their axes are known.

    Parameters
    ----------
    shape : sequence of int or str
        Numbers and symbols.
    sizes : mapping of str to int
        Sizes of `batch`, and of `height` and `width` of x in pixels; some may be missing.

    """
    return tuple(_fix(dim, sizes) for dim in shape)


def resolve(shape: Sequence[Dim], batch: int, image: Shape) -> tuple[int, ...]:
    """Return a shape in numbers.

    Parameters
    ----------
    shape : sequence of int or str
        Numbers and symbols.
    batch : int
        Number of images.
    image : Shape
        Height and width of x in pixels.

    """
    sizes = {"batch": batch, "height": image.height, "width": image.width}
    return tuple(int(_fix(dim, sizes)) for dim in shape)


def fixed_sizes(extent: Extent, batch: Batch) -> dict[str, int]:
    """Return those of `batch`, `height` and `width` that have one size only, as `fix` takes them."""
    ends = {
        "batch": (batch.min, batch.max),
        "height": (extent.min.height, extent.max.height),
        "width": (extent.min.width, extent.max.width),
    }
    return {axis: low for axis, (low, high) in ends.items() if low == high}


def measure(shapes: Mapping[str, Sequence[Dim]], found: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Infer the sizes of batch, height and width from the shapes of tensors.

    Parameters
    ----------
    shapes : mapping of str to sequence of int or str
        Declared shapes by the tensors' names: numbers and symbols.
    found : mapping of str to sequence of int
        Actual shapes by the same names.

    Returns
    -------
    dict of str to int
        Sizes by axis, as `fix` takes them.

    Raises
    ------
    ValueError
        If a tensor has another rank or fixed size than declared, or two tensors disagree.

    """
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if len(shape) != len(found[name]):
            raise ValueError(f"{name} is {list(found[name])}, not {list(shape)}")
        for dim, size in zip(shape, found[name], strict=True):
            if isinstance(dim, str):
                axis, divisor = _parts(dim)
                fits = sizes.setdefault(axis, size * divisor) == size * divisor
            else:
                fits = size == dim
            if not fits:
                raise ValueError(f"{name} is {list(found[name])}, not {list(shape)}")
    return sizes


def is_symbol(dim: Dim) -> bool:
    """Return whether a dimension is a number, or a symbol that `fix` knows."""
    return isinstance(dim, int) or _SYMBOL.fullmatch(dim) is not None


def _fix(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    if isinstance(dim, int):
        return dim
    axis, divisor = _parts(dim)
    return sizes[axis] // divisor if axis in sizes else dim


def _parts(dim: str) -> tuple[str, int]:
    found = _SYMBOL.fullmatch(dim)
    if found is None:
        raise ValueError(f"{dim!r} is not a dimension of an image")
    return found[1], int(found[2] or 1)
