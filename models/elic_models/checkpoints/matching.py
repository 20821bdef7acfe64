"""Which ELIC a checkpoint's tensors are, or how they differ from it.

Tensors are held against the names and shapes of every variant's network: a whole
checkpoint fits one. Two variants share CompressAI's names, and h_s's last layer alone
tells them apart whatever the widths: its weight is [2M, 3N/2, 3, 3] in one and
[3N/2, 2N, 3, 3] in the other, and no N makes both 2M = 3N/2 and 3N/2 = 2N. Of several
that a damaged checkpoint is as far from, the first in `VARIANTS` is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import Tensor

from elic_models.checkpoints.keys import KEY_LAYOUTS, KeyLayout, checkpoint_keys, read_spec
from elic_models.elic import ELIC
from elic_models.spec import VARIANTS, ModelSpec

TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
"""Buffers of CompressAI's entropy models, of a size that training does not fix."""


@dataclass(frozen=True)
class Match:
    """Tensors, held against one layout of one variant.

    layout: what its keys are called by. spec: their widths; None if they do not tell, `problem` saying why.
    missing, unexpected: keys. misshapen: keys with both shapes.
    resembles: whether most of the variant's keys are there.
    """

    variant: str
    layout: KeyLayout
    spec: ModelSpec | None
    problem: str
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]
    resembles: bool

    @property
    def whole(self) -> bool:
        """Whether the tensors are an ELIC of this variant, no more and no less."""
        return self.spec is not None and not (self.missing or self.unexpected or self.misshapen)

    @property
    def distance(self) -> tuple[int, int]:
        """What to minimize over the variants."""
        return len(self.missing) + len(self.unexpected), len(self.misshapen) + (self.spec is None)

    def differences(self) -> str:
        """The three lists in a line, cut short."""
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("misshapen", self.misshapen))
        return "; ".join(listing(kind, keys) for kind, keys in kinds if keys)


def listing(kind: str, keys: tuple[str, ...], shown: int = 4) -> str:
    """A count and the first few of many keys."""
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:shown])}{more})"


def best_match(tensors: Mapping[str, Tensor]) -> Match:
    """The variant that the tensors are, or else the one that they resemble most."""
    return min((match(tensors, variant) for variant in VARIANTS), key=lambda found: found.distance)


def match(tensors: Mapping[str, Tensor], variant: str) -> Match:
    """Hold tensors, their keys normalized, against one variant, by the layout that they are nearest to."""
    return min((_match(tensors, variant, layout) for layout in KEY_LAYOUTS[variant]), key=lambda found: found.distance)


def _match(tensors: Mapping[str, Tensor], variant: str, layout: KeyLayout) -> Match:
    spec: ModelSpec | None = None
    problem = ""
    try:
        spec = read_spec(tensors, variant, layout)
    except KeyError as error:
        problem = f"{error.args[0]} is missing"
    except ValueError as error:
        problem = str(error)
    # The default widths have most names of any others: enough to say which are missing.
    wanted = spec or ModelSpec(variant=variant)
    required, shapes = _wanted_tensors(wanted, layout)
    missing = required - tensors.keys()
    unexpected = tensors.keys() - shapes.keys() - mask_keys(wanted, layout)
    misshapen = (
        f"{key} {list(tensors[key].shape)} instead of {list(shape)}"
        for key, shape in sorted(shapes.items())
        if spec and key in tensors and not key.endswith(TABLES) and tensors[key].shape != shape
    )
    return Match(
        variant,
        layout,
        spec,
        problem,
        tuple(sorted(missing)),
        tuple(sorted(unexpected)),
        tuple(misshapen),
        resembles=2 * len(missing) < len(required),
    )


@lru_cache(maxsize=64)
def _wanted_tensors(spec: ModelSpec, layout: KeyLayout) -> tuple[frozenset[str], Mapping[str, torch.Size]]:
    """The keys that a checkpoint must have, and the shapes of all that it may have."""
    with torch.device("meta"):
        network = ELIC(spec)
    required = {key for name, _ in network.named_parameters() for key in checkpoint_keys(name, spec, layout)}
    shapes = {
        key: value.shape for name, value in network.state_dict().items() for key in checkpoint_keys(name, spec, layout)
    }
    return frozenset(required), MappingProxyType(shapes)


def mask_keys(spec: ModelSpec, layout: KeyLayout) -> set[str]:
    """Keys of the checkerboard masks, which checkpoints may hold and this network computes."""
    return {key for k in range(len(spec.groups)) for key in checkpoint_keys(f"context.{k}.spatial.mask", spec, layout)}
