"""Shapes of tensors and of images, where some dimensions are left open.

A dimension is a number, or a symbol of what it is of the image: `batch`, `height`,
`width_16` (the width in pixels, divided by 16). The exporter writes symbols into
graphs and manifests, the codec puts numbers in their place.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DOWNSAMPLING = 64
"""Heights and widths are multiples of this: pixels per position of z."""

LATENT_STRIDE = 16
"""Pixels per position of y."""

MAX_BATCH = 1024

MAX_PIXELS = 1 << 27
"""Default cap on an image's pixels, and cap on a tile's: 16384 x 8192, 403 MB decoded."""

Dim = int | str

_SYMBOL = re.compile(r"(batch|height|width)(?:_([1-9]\d{0,4}))?")


class Record(BaseModel):
    """Data that is checked as it is read, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(Record):
    """Height and width of x in pixels, multiples of 64."""

    height: Annotated[int, Field(gt=0, le=65536, multiple_of=DOWNSAMPLING)]
    width: Annotated[int, Field(gt=0, le=65536, multiple_of=DOWNSAMPLING)]

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class Extent(Record):
    """The shapes of x that a graph takes: from `min` to `max`, which are one where shapes are fixed."""

    min: Shape
    max: Shape

    @model_validator(mode="after")
    def _check(self) -> "Extent":
        if self.min.height > self.max.height or self.min.width > self.max.width:
            raise ValueError(f"min {self.min} is larger than max {self.max}")
        return self

    @classmethod
    def one(cls, height: int, width: int) -> "Extent":
        """One shape only."""
        shape = Shape(height=height, width=width)
        return cls(min=shape, max=shape)

    @property
    def fixed(self) -> bool:
        """Whether there is one shape."""
        return self.min == self.max

    def holds(self, height: int, width: int) -> bool:
        """Whether a shape of x is in it."""
        return (
            self.min.height <= height <= self.max.height
            and self.min.width <= width <= self.max.width
            and not (height % DOWNSAMPLING or width % DOWNSAMPLING)
        )

    def __str__(self) -> str:
        return str(self.min) if self.fixed else f"{self.min}..{self.max}"


class Batch(Record):
    """How many images a graph takes at once: from `min` to `max`."""

    min: Annotated[int, Field(strict=True, gt=0, le=MAX_BATCH)] = 1
    max: Annotated[int, Field(strict=True, gt=0, le=MAX_BATCH)] = 1

    @model_validator(mode="after")
    def _check(self) -> "Batch":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is larger than max {self.max}")
        return self

    @property
    def fixed(self) -> bool:
        """Whether there is one number."""
        return self.min == self.max

    def __str__(self) -> str:
        return str(self.min) if self.fixed else f"{self.min}..{self.max}"


def _both(value: object) -> object:
    """One shape or number stands for both ends; errors then keep their place in the file."""
    return value if isinstance(value, Extent | Batch) or _has_ends(value) else {"min": value, "max": value}


def _has_ends(value: object) -> bool:
    return isinstance(value, Mapping) and not {"min", "max"}.isdisjoint(value)


AnyExtent = Annotated[Extent, BeforeValidator(_both)]
"""`{height, width}`, or `{min, max}` of these."""

AnyBatch = Annotated[Batch, BeforeValidator(_both)]
"""A number, or `{min, max}`."""


def symbol(axis: str, divisor: int = 1) -> str:
    """What a dimension is called that is this axis of the image, divided."""
    return axis if divisor == 1 else f"{axis}_{divisor}"


def dimensions(channels: int, stride: int, *, packed: bool = False) -> tuple[Dim, ...]:
    """[batch, channels, H / stride, W / stride], or half as wide if packed."""
    return "batch", channels, symbol("height", stride), symbol("width", 2 * stride if packed else stride)


def fix(shape: Sequence[Dim], sizes: Mapping[str, int]) -> tuple[Dim, ...]:
    """A shape with numbers where `sizes` has them.

    sizes: of `batch`, and of `height` and `width` of x in pixels.
    """
    return tuple(_fix(dim, sizes) for dim in shape)


def resolve(shape: Sequence[Dim], batch: int, image: Shape) -> tuple[int, ...]:
    """A shape in numbers, for so many images of this shape."""
    sizes = {"batch": batch, "height": image.height, "width": image.width}
    return tuple(int(_fix(dim, sizes)) for dim in shape)


def fixed_sizes(extent: Extent, batch: Batch) -> dict[str, int]:
    """Batch, height and width, each where there is one: the argument of `shapes.fix`."""
    ends = {
        "batch": (batch.min, batch.max),
        "height": (extent.min.height, extent.max.height),
        "width": (extent.min.width, extent.max.width),
    }
    return {axis: low for axis, (low, high) in ends.items() if low == high}


def measure(shapes: Mapping[str, Sequence[Dim]], found: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """What batch, height and width are, from tensors as they are and as they were declared.

    Raises ValueError if one does not fit: another rank or fixed size, or two that disagree.
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
    """Whether a dimension is a number, or a symbol that `fix` knows."""
    return isinstance(dim, int) or _SYMBOL.fullmatch(dim) is not None


def _fix(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    if isinstance(dim, int):
        return dim
    axis, divisor = _parts(dim)
    return sizes[axis] // divisor if axis in sizes else dim


def _parts(dim: str) -> tuple[str, int]:
    found = _SYMBOL.fullmatch(dim)
    if found is None:
        raise ValueError(f"{dim!r} is no dimension of an image")
    return found[1], int(found[2] or 1)
