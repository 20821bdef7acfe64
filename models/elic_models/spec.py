"""How one ELIC is wired: the data that every other module of the project reads.

Comes from a checkpoint's keys and shapes (`checkpoint.py`); goes to the network
(`elic.py`), the exporters and the bundle's manifest.
"""

from dataclasses import dataclass
from typing import Literal

DEFAULT_GROUPS = (16, 16, 32, 64, 192)
"""Channels of each slice of y (He et al. 2022, section 3.2: uneven grouping)."""

MAX_WIDTH = 1024
"""Bound of N and M: more than any published ELIC has, less than a machine's memory."""


@dataclass(frozen=True)
class Variant:
    """What distinguishes one published ELIC implementation from another.

    name: the value stored in manifests and named in errors.
    origin: the public implementation whose checkpoints it reads.
    anchor_parity: 0 if anchor positions have an even row + column, 1 if odd.
    """

    name: str
    origin: str
    anchor_parity: Literal[0, 1]

    def context_slices(self, k: int) -> tuple[int, ...]:
        """Indexes of the decoded slices that the channel context of slice k reads."""
        return tuple(sorted({0, k - 1})) if k else ()


CHANDELIER = Variant("chandelier", "VincentChandelier/ELiC-ReImplemetation TestModel", 0)

VARIANTS = {variant.name: variant for variant in (CHANDELIER,)}


@dataclass(frozen=True)
class ModelSpec:
    """Widths and wiring of one ELIC.

    N: channels of the transforms and of z.
    M: channels of the latent y.
    groups: channels of each slice, summing to M.
    variant: the implementation's name, a key of `VARIANTS`.
    """

    N: int = 192
    M: int = 320
    groups: tuple[int, ...] = DEFAULT_GROUPS
    variant: str = CHANDELIER.name

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"unknown ELIC variant {self.variant!r}: known are {', '.join(VARIANTS)}")
        if not (0 < self.N <= MAX_WIDTH and 0 < self.M <= MAX_WIDTH):
            raise ValueError(f"N = {self.N} and M = {self.M} are outside of 1 to {MAX_WIDTH}")
        if sum(self.groups) != self.M:
            raise ValueError(f"the groups {self.groups} sum to {sum(self.groups)}, not to M = {self.M}")

    @property
    def wiring(self) -> Variant:
        """The variant's own data."""
        return VARIANTS[self.variant]

    def context_channels(self, k: int) -> int:
        """Channels of y_hat that the channel context of slice k reads."""
        return sum(self.groups[i] for i in self.wiring.context_slices(k))
