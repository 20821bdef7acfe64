"""Names of tensors: from each implementation's checkpoints to this project's network.

A variant's layout is data: a list of (our prefix, its prefix), `{k}` being a slice's
index and `{k-1}` the one before it.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from elic_models.spec import CHANDELIER, ModelSpec

KEY_LAYOUTS: dict[str, list[tuple[str, str]]] = {
    CHANDELIER.name: [
        ("context.{k}.channel.", "cc_transforms.{k-1}."),
        ("context.{k}.spatial.", "context_prediction.{k}."),
        ("context.{k}.aggregation.", "ParamAggregation.{k}."),
    ],
}

SIGNATURES = {CHANDELIER.name: ("g_a.0.weight", "cc_transforms.0.0.weight", "ParamAggregation.0.0.weight")}
"""A layout's first key, with any of its others: a checkpoint that lacks one is told what it lacks."""

_OLD_BOTTLENECK = re.compile(r"^entropy_bottleneck\._(matrix|bias|factor)(\d+)$")
_NEW_BOTTLENECK = {"matrix": "matrices", "bias": "biases", "factor": "factors"}


def normalize_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop DataParallel's `module.`, and rename CompressAI's old entropy bottleneck.

    `entropy_bottleneck._matrix0` becomes `entropy_bottleneck.matrices.0`, as CompressAI
    1.2.8 writes it. Raises ValueError if two names become one.
    """

    def rename(key: str) -> str:
        key = key.removeprefix("module.")
        old = _OLD_BOTTLENECK.match(key)
        return f"entropy_bottleneck.{_NEW_BOTTLENECK[old[1]]}.{old[2]}" if old else key

    renamed: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if rename(key) in renamed:
            raise ValueError(f"{rename(key)} is there twice, under two names")
        renamed[rename(key)] = value
    return renamed


def detect_variant(tensors: Mapping[str, Tensor]) -> str | None:
    """The variant whose signature these keys carry, or None."""
    for variant, signature in SIGNATURES.items():
        if any(key in tensors for key in signature[1:]) and signature[0] in tensors:
            return variant
    return None


def read_spec(tensors: Mapping[str, Tensor], variant: str) -> ModelSpec:
    """Widths from the tensors' shapes. Raises KeyError, IndexError, ValueError."""
    N = tensors["g_a.0.weight"].shape[0]
    M = tensors["h_a.0.weight"].shape[1]
    groups: list[int] = []
    while (key := checkpoint_key(f"context.{len(groups)}.spatial.weight", variant)) in tensors:
        groups.append(tensors[key].shape[1])
    return ModelSpec(N, M, tuple(groups), variant)


def checkpoint_key(name: str, variant: str) -> str:
    """What a checkpoint of this variant calls our tensor `name`."""
    for ours, theirs in KEY_LAYOUTS[variant]:
        pattern = re.escape(ours).replace(re.escape("{k}"), r"(\d+)")
        found = re.match(pattern, name)
        if found:
            k = int(found[1])
            return theirs.replace("{k-1}", str(k - 1)).replace("{k}", str(k)) + name[found.end() :]
    return name
