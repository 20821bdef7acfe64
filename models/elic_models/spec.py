"""The widths and wiring of an ELIC, as data that every other module of the project reads.

A spec comes from a checkpoint's keys and shapes (`checkpoints/keys.py`), and goes to the network (`elic.py`), the
exporters and the bundle's manifest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ANCHOR, NONANCHOR = 0, 1
"""The two passes of a slice, in coding order."""

DEFAULT_GROUPS = (16, 16, 32, 64, 192)
"""Channels of each slice of y (uneven grouping: He et al. 2022, section 3.2)."""

MAX_WIDTH = 1024
"""Upper bound of N and M: above those of published models, and low enough to fit in memory."""


@dataclass(frozen=True)
class Variant:
    """What distinguishes one published ELIC implementation from another.

    Parameters
    ----------
    name : str
        The name in manifests, options and error messages.
    anchor_parity : {0, 1}
        The parity of row + column at anchor positions.
    channel_context : {"first and previous", "all previous"}
        The decoded slices that a slice's channel context reads.
    nets_per_pass : bool
        Whether each pass has a parameter net of its own, the anchor pass's without a spatial input. Otherwise one net
        serves both passes, and reads zeros as the spatial context of the anchor pass.
    scales_first : bool
        Whether the parameter nets in checkpoints return the scales before the means.
    hyper_synthesis_widths : callable
        (N, M) -> output channels of the three layers of h_s.
    hyper_synthesis_end : {"conv", "deconv"}
        The kind of the last layer of h_s, which is 3x3 with stride 1.
    hidden_widths : callable
        (N, M, inputs, outputs) of a parameter net -> channels of its two hidden layers.

    """

    name: str
    anchor_parity: Literal[0, 1]
    channel_context: Literal["first and previous", "all previous"]
    nets_per_pass: bool
    scales_first: bool
    hyper_synthesis_widths: Callable[[int, int], tuple[int, int, int]]
    hyper_synthesis_end: Literal["conv", "deconv"]
    hidden_widths: Callable[[int, int, int, int], tuple[int, int]]

    def context_slices(self, k: int) -> tuple[int, ...]:
        """Return the indexes of the decoded slices that the channel context of slice k reads."""
        if self.channel_context == "all previous":
            return tuple(range(k))
        return tuple(sorted({0, k - 1})) if k else ()


def _first_layer_2m(_N: int, M: int, _inputs: int, _outputs: int) -> tuple[int, int]:
    return 2 * M, 512


def _thirds_rounded_apart(_N: int, _M: int, inputs: int, outputs: int) -> tuple[int, int]:
    return inputs * 2 // 3 + outputs // 3, inputs // 3 + outputs * 2 // 3


def _thirds_above_2n(N: int, _M: int, inputs: int, outputs: int) -> tuple[int, int]:
    """Return the widths of CompressAI's linear `sequential_channel_ramp`, whose inner widths are at least 2N."""
    return max((2 * inputs + outputs) // 3, 2 * N), max((inputs + 2 * outputs) // 3, 2 * N)


CHANDELIER = Variant(
    name="chandelier",
    anchor_parity=0,
    channel_context="first and previous",
    nets_per_pass=False,
    scales_first=False,
    hyper_synthesis_widths=lambda N, M: (N, N * 3 // 2, 2 * M),
    hyper_synthesis_end="conv",
    hidden_widths=_first_layer_2m,
)
"""`TestModel` of VincentChandelier/ELiC-ReImplemetation."""

JIANG = Variant(
    name="jiang",
    anchor_parity=1,
    channel_context="all previous",
    nets_per_pass=True,
    scales_first=True,
    hyper_synthesis_widths=lambda _N, M: (M, M * 3 // 2, 2 * M),
    hyper_synthesis_end="deconv",
    hidden_widths=_thirds_rounded_apart,
)
"""JiangWeibeta/ELIC."""

COMPRESSAI_OFFICIAL = Variant(
    name="compressai-official",
    anchor_parity=0,
    channel_context="all previous",
    nets_per_pass=False,
    scales_first=True,
    hyper_synthesis_widths=lambda N, _M: (N, N * 3 // 2, 2 * N),
    hyper_synthesis_end="deconv",
    hidden_widths=_thirds_above_2n,
)
"""`elic2022-official` of CompressAI."""

COMPRESSAI_CHANDELIER = Variant(
    name="compressai-chandelier",
    anchor_parity=0,
    channel_context="first and previous",
    nets_per_pass=False,
    scales_first=False,
    hyper_synthesis_widths=lambda N, M: (N, N * 3 // 2, 2 * M),
    hyper_synthesis_end="conv",
    hidden_widths=_first_layer_2m,
)
"""`elic2022-chandelier` of CompressAI."""

VARIANTS = {variant.name: variant for variant in (CHANDELIER, JIANG, COMPRESSAI_OFFICIAL, COMPRESSAI_CHANDELIER)}
"""The variants by name."""


@dataclass(frozen=True)
class ModelSpec:
    """The widths and wiring of one ELIC.

    Parameters
    ----------
    N : int
        Channels of the transforms and of z.
    M : int
        Channels of the latent y.
    groups : tuple of int
        Channels of each slice of y; their sum is M.
    variant : str
        The implementation's name, a key of `VARIANTS`.

    Raises
    ------
    ValueError
        If a width is out of bounds, or the variant is unknown.

    """

    N: int = 192
    M: int = 320
    groups: tuple[int, ...] = DEFAULT_GROUPS
    variant: str = CHANDELIER.name

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"unknown ELIC variant {self.variant!r}: known are {', '.join(VARIANTS)}")
        if not (0 < self.N <= MAX_WIDTH and 0 < self.M <= MAX_WIDTH):
            raise ValueError(f"N = {self.N} or M = {self.M} is outside the range 1 to {MAX_WIDTH}")
        if sum(self.groups) != self.M or min(self.groups) < 1:
            raise ValueError(f"the groups {self.groups} are not positive numbers that sum to M = {self.M}")

    @property
    def wiring(self) -> Variant:
        """The variant of this name."""
        return VARIANTS[self.variant]

    @property
    def hyper_synthesis_widths(self) -> tuple[int, int, int]:
        """Output channels of the three layers of h_s."""
        return self.wiring.hyper_synthesis_widths(self.N, self.M)

    @property
    def latent_channels(self) -> int:
        """Channels of latent_means, and of latent_scales: half of the output channels of h_s."""
        return self.hyper_synthesis_widths[-1] // 2

    def context_channels(self, k: int) -> int:
        """Return how many channels of y_hat the channel context of slice k reads."""
        return sum(self.groups[i] for i in self.wiring.context_slices(k))

    def aggregation_inputs(self, k: int, half: int) -> int:
        """Return the input channels of the parameter net of slice k and pass `half`."""
        context = 2 * self.groups[k]
        support = 2 * self.latent_channels + (context if k else 0)
        spatial = 0 if self.wiring.nets_per_pass and half == ANCHOR else context
        return spatial + support

    def aggregation_widths(self, k: int, half: int) -> tuple[int, int]:
        """Return the channels of the two hidden layers of the parameter net of slice k and pass `half`."""
        return self.wiring.hidden_widths(self.N, self.M, self.aggregation_inputs(k, half), 2 * self.groups[k])
