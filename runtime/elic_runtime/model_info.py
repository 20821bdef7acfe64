"""The widths and wiring of a bundle's ELIC, as its manifest states them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from elic_runtime.shapes import Record

MAX_SLICES = 32
"""Largest number of slices, which bounds the header of a file."""

Size = Annotated[int, Field(gt=0, le=65536)]


class ModelInfo(Record):
    """The widths and wiring of an ELIC: what is needed to run its slices and passes.

    Parameters
    ----------
    variant : str
        Name of the implementation that the checkpoint comes from.
    N : int
        Channels of the transforms and of z.
    M : int
        Channels of y.
    latent_channels : int
        Channels of latent_means, and of latent_scales.
    groups : tuple of int
        Channels of each slice of y; their sum is M.
    anchor_parity : {0, 1}
        Parity of row + column at anchor positions.
    context_slices : tuple of tuple of int
        For each slice, the decoded slices that `context_{k}_anchor` reads.

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
            raise ValueError(f"the groups do not sum to M = {self.M}, or are more than {MAX_SLICES}")
        if len(self.context_slices) != len(self.groups):
            raise ValueError("context_slices does not list every slice")
        if any(not 0 <= i < k for k, read in enumerate(self.context_slices) for i in read):
            raise ValueError("context_slices names a slice that is not decoded before the one that reads it")
        if any(len(set(read)) < len(read) for read in self.context_slices):
            raise ValueError("context_slices names a slice twice")
        return self
