"""How the ELIC of a bundle is wired, as its manifest says."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from elic_runtime.shapes import Record

MAX_SLICES = 32

Size = Annotated[int, Field(gt=0, le=65536)]


class ModelInfo(Record):
    """How the ELIC inside is wired: enough to walk its slices and passes.

    latent_channels: of each of latent_means and latent_scales.
    context_slices: for each slice, which decoded slices `context_{k}_anchor` reads.
    """

    variant: str
    N: Size
    M: Size
    latent_channels: Size
    groups: tuple[Size, ...]
    anchor_parity: Literal[0, 1]
    context_slices: tuple[tuple[int, ...], ...]

    @model_validator(mode="after")
    def _check(self) -> "ModelInfo":
        if sum(self.groups) != self.M or len(self.groups) > MAX_SLICES:
            raise ValueError(f"groups do not make up M = {self.M}, or are more than {MAX_SLICES}")
        if len(self.context_slices) != len(self.groups):
            raise ValueError("context_slices does not list every slice")
        if any(not 0 <= i < k for k, read in enumerate(self.context_slices) for i in read):
            raise ValueError("context_slices names a slice that is not decoded yet")
        if any(len(set(read)) < len(read) for read in self.context_slices):
            raise ValueError("context_slices names a slice twice")
        return self
