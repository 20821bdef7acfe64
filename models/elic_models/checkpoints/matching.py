"""Find the variant that a checkpoint's tensors belong to, and how they differ from it.

The tensors' names and shapes are compared with those of every variant's network; a whole checkpoint fits exactly one.
Two variants share CompressAI's names. The last layer of h_s tells them apart for any widths: its weight is
[2M, 3N/2, 3, 3] in one and [3N/2, 2N, 3, 3] in the other, and no N satisfies both 2M = 3N/2 and 3N/2 = 2N. If a damaged
checkpoint is equally far from several variants, the first of them in `VARIANTS` is named.
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
"""Buffers of CompressAI's entropy models whose sizes do not depend on the spec."""


@dataclass(frozen=True)
class Match:
    """The result of comparing tensors with one layout of one variant.

    Parameters
    ----------
    variant : str
        A key of `VARIANTS`.
    layout : KeyLayout
        The layout of keys that the tensors were compared with.
    spec : ModelSpec, optional
        The widths of the network; None if the tensors do not show them.
    problem : str
        The reason why there is no spec; empty if there is one.
    missing, unexpected : tuple of str
        Keys that are required but absent, and keys that are not part of the network.
    misshapen : tuple of str
        Keys of tensors with a wrong shape, each with that shape and the right one.
    resembles : bool
        Whether most of the variant's keys are present.

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
        """Whether the tensors are exactly those of an ELIC of this variant."""
        return self.spec is not None and not (self.missing or self.unexpected or self.misshapen)

    @property
    def distance(self) -> tuple[int, int]:
        """How far the tensors are from the variant, as numbers to be minimized in this order."""
        return len(self.missing) + len(self.unexpected), len(self.misshapen) + (self.spec is None)

    def differences(self) -> str:
        """Describe the missing, unexpected and misshapen tensors in one line."""
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("misshapen", self.misshapen))
        return "; ".join(listing(kind, keys) for kind, keys in kinds if keys)


def listing(kind: str, keys: tuple[str, ...], shown: int = 4) -> str:
    """Return the number of keys and the first few of them, as text."""
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:shown])}{more})"


def best_match(tensors: Mapping[str, Tensor]) -> Match:
    """Return the match with the variant that the tensors are nearest to.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors by normalized keys.

    """
    return min((match(tensors, variant) for variant in VARIANTS), key=lambda found: found.distance)


def match(tensors: Mapping[str, Tensor], variant: str) -> Match:
    """Compare tensors with one variant, using the key layout that they are nearest to.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors by normalized keys.
    variant : str
        A key of `VARIANTS`.

    """
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
    # Without the widths, the default ones still give the names of most tensors, so that missing ones can be named.
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
    """Return the keys that a checkpoint must have, and the shapes of all tensors that it may have."""
    with torch.device("meta"):
        network = ELIC(spec)
    required = {key for name, _ in network.named_parameters() for key in checkpoint_keys(name, spec, layout)}
    shapes = {
        key: value.shape for name, value in network.state_dict().items() for key in checkpoint_keys(name, spec, layout)
    }
    return frozenset(required), MappingProxyType(shapes)


def mask_keys(spec: ModelSpec, layout: KeyLayout) -> set[str]:
    """Return the keys of the checkerboard masks, which checkpoints may contain and this network computes itself."""
    return {key for k in range(len(spec.groups)) for key in checkpoint_keys(f"context.{k}.spatial.mask", spec, layout)}
