"""How one ELIC is wired: the data that every other module of the project reads.

Comes from a checkpoint's keys and shapes (`checkpoint.py`); goes to the network
(`elic.py`), the exporters and the bundle's manifest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ANCHOR, NONANCHOR = 0, 1
"""The two passes of a slice, in coding order."""

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
    channel_context: the decoded slices that a slice's channel context reads.
    nets_per_pass: whether each pass has its own parameter net, the anchor's without a
        spatial input; otherwise one net serves both, fed zeros at the anchor pass.
    scales_first: whether the checkpoint's parameter nets put scales before means.
    hyper_synthesis_widths: N, M -> output channels of h_s's three layers.
    hyper_synthesis_end: the kind of h_s's last layer, 3x3 with stride 1.
    hidden_widths: N, M, a parameter net's inputs, its outputs -> its two hidden widths.
    """

    name: str
    origin: str
    anchor_parity: Literal[0, 1]
    channel_context: Literal["first and previous", "all previous"]
    nets_per_pass: bool
    scales_first: bool
    hyper_synthesis_widths: Callable[[int, int], tuple[int, int, int]]
    hyper_synthesis_end: Literal["conv", "deconv"]
    hidden_widths: Callable[[int, int, int, int], tuple[int, int]]

    def context_slices(self, k: int) -> tuple[int, ...]:
        """Indexes of the decoded slices that the channel context of slice k reads."""
        if self.channel_context == "all previous":
            return tuple(range(k))
        return tuple(sorted({0, k - 1})) if k else ()


def _first_layer_2m(_N: int, M: int, _inputs: int, _outputs: int) -> tuple[int, int]:
    return 2 * M, 512


def _thirds_rounded_apart(_N: int, _M: int, inputs: int, outputs: int) -> tuple[int, int]:
    return inputs * 2 // 3 + outputs // 3, inputs // 3 + outputs * 2 // 3


def _thirds_above_2n(N: int, _M: int, inputs: int, outputs: int) -> tuple[int, int]:
    """CompressAI's `sequential_channel_ramp`, linear, whose inner widths are at least 2N."""
    return max((2 * inputs + outputs) // 3, 2 * N), max((inputs + 2 * outputs) // 3, 2 * N)


CHANDELIER = Variant(
    name="chandelier",
    origin="VincentChandelier/ELiC-ReImplemetation TestModel",
    anchor_parity=0,
    channel_context="first and previous",
    nets_per_pass=False,
    scales_first=False,
    hyper_synthesis_widths=lambda N, M: (N, N * 3 // 2, 2 * M),
    hyper_synthesis_end="conv",
    hidden_widths=_first_layer_2m,
)

JIANG = Variant(
    name="jiang",
    origin="JiangWeibeta/ELIC",
    anchor_parity=1,
    channel_context="all previous",
    nets_per_pass=True,
    scales_first=True,
    hyper_synthesis_widths=lambda _N, M: (M, M * 3 // 2, 2 * M),
    hyper_synthesis_end="deconv",
    hidden_widths=_thirds_rounded_apart,
)

COMPRESSAI_OFFICIAL = Variant(
    name="compressai-official",
    origin="CompressAI elic2022-official",
    anchor_parity=0,
    channel_context="all previous",
    nets_per_pass=False,
    scales_first=True,
    hyper_synthesis_widths=lambda N, _M: (N, N * 3 // 2, 2 * N),
    hyper_synthesis_end="deconv",
    hidden_widths=_thirds_above_2n,
)

COMPRESSAI_CHANDELIER = Variant(
    name="compressai-chandelier",
    origin="CompressAI elic2022-chandelier",
    anchor_parity=0,
    channel_context="first and previous",
    nets_per_pass=False,
    scales_first=False,
    hyper_synthesis_widths=lambda N, M: (N, N * 3 // 2, 2 * M),
    hyper_synthesis_end="conv",
    hidden_widths=_first_layer_2m,
)

VARIANTS = {variant.name: variant for variant in (CHANDELIER, JIANG, COMPRESSAI_OFFICIAL, COMPRESSAI_CHANDELIER)}


@dataclass(frozen=True)
class ModelSpec:
    """Widths and wiring of one ELIC.

    N: channels of the transforms and of z.
    M: channels of the latent y.
    groups: channels of each slice, summing to M.
    variant: the implementation's name, a key of `VARIANTS`.
    Raises ValueError for widths out of bounds and a variant that is not known.
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
        if sum(self.groups) != self.M or min(self.groups) < 1:
            raise ValueError(f"the groups {self.groups} are no channels that sum to M = {self.M}")

    @property
    def wiring(self) -> Variant:
        """The variant's own data."""
        return VARIANTS[self.variant]

    @property
    def hyper_synthesis_widths(self) -> tuple[int, int, int]:
        """Output channels of h_s's three layers."""
        return self.wiring.hyper_synthesis_widths(self.N, self.M)

    @property
    def latent_channels(self) -> int:
        """Channels of latent_means and of latent_scales: half of what h_s returns."""
        return self.hyper_synthesis_widths[-1] // 2

    def context_channels(self, k: int) -> int:
        """Channels of y_hat that the channel context of slice k reads."""
        return sum(self.groups[i] for i in self.wiring.context_slices(k))

    def aggregation_inputs(self, k: int, half: int) -> int:
        """Input channels of the parameter net of slice k that serves pass `half`."""
        context = 2 * self.groups[k]
        support = 2 * self.latent_channels + (context if k else 0)
        spatial = 0 if self.wiring.nets_per_pass and half == ANCHOR else context
        return spatial + support

    def aggregation_widths(self, k: int, half: int) -> tuple[int, int]:
        """Hidden channels of the parameter net of slice k that serves pass `half`."""
        return self.wiring.hidden_widths(self.N, self.M, self.aggregation_inputs(k, half), 2 * self.groups[k])
