"""Names of tensors: from this project's network to each implementation's checkpoints.

A variant's layout is data: a list of (our prefix, its prefix), the first that fits
being used and a name that none fits being the same in both. `{k}` is a slice's index,
`{k-1}` the one before it, `{i}` a layer's. A `{k}` on its side only stands for every
slice: it stores once per slice what is one here.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from elic_models.spec import CHANDELIER, COMPRESSAI_CHANDELIER, COMPRESSAI_OFFICIAL, JIANG, ModelSpec

KeyLayout = tuple[tuple[str, str], ...]

_COMPRESSAI: KeyLayout = (
    ("h_a.", "latent_codec.hyper.h_a."),
    ("h_s.", "latent_codec.hyper.h_s."),
    ("entropy_bottleneck.", "latent_codec.hyper.entropy_bottleneck."),
    ("context.{k}.channel.", "latent_codec.y.channel_context.y{k}."),
    ("context.{k}.spatial.", "latent_codec.y.latent_codec.y{k}.context_prediction."),
    ("context.{k}.aggregation.", "latent_codec.y.latent_codec.y{k}.entropy_parameters."),
    ("gaussian_conditional.", "latent_codec.y.latent_codec.y{k}.y.gaussian_conditional."),
)

KEY_LAYOUTS: dict[str, KeyLayout] = {
    CHANDELIER.name: (
        ("context.{k}.channel.", "cc_transforms.{k-1}."),
        ("context.{k}.spatial.", "context_prediction.{k}."),
        ("context.{k}.aggregation.", "ParamAggregation.{k}."),
    ),
    JIANG.name: (
        ("g_a.{i}.conv1.", "g_a.analysis_transform.{i}.branch.0."),
        ("g_a.{i}.conv2.", "g_a.analysis_transform.{i}.branch.2."),
        ("g_a.{i}.conv3.", "g_a.analysis_transform.{i}.branch.4."),
        ("g_a.", "g_a.analysis_transform."),
        ("g_s.{i}.conv1.", "g_s.synthesis_transform.{i}.branch.0."),
        ("g_s.{i}.conv2.", "g_s.synthesis_transform.{i}.branch.2."),
        ("g_s.{i}.conv3.", "g_s.synthesis_transform.{i}.branch.4."),
        ("g_s.", "g_s.synthesis_transform."),
        ("h_a.", "h_a.reduction."),
        ("h_s.", "h_s.increase."),
        ("context.{k}.channel.", "channel_context.{k}.fushion."),
        ("context.{k}.spatial.", "local_context.{k}."),
        ("context.{k}.anchor_aggregation.", "entropy_parameters_anchor.{k}.fusion."),
        ("context.{k}.aggregation.", "entropy_parameters_nonanchor.{k}.fusion."),
    ),
    COMPRESSAI_OFFICIAL.name: _COMPRESSAI,
    COMPRESSAI_CHANDELIER.name: _COMPRESSAI,
}

_OLD_BOTTLENECK = re.compile(r"^(.*\b)?entropy_bottleneck\._(matrix|bias|factor)(\d+)$")
_NEW_BOTTLENECK = {"matrix": "matrices", "bias": "biases", "factor": "factors"}


def normalize_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop DataParallel's `module.`, and rename CompressAI's old entropy bottleneck.

    `entropy_bottleneck._matrix0` becomes `entropy_bottleneck.matrices.0`, as CompressAI
    1.2.8 writes it. Raises ValueError if two names become one.
    """

    def rename(key: str) -> str:
        key = key.removeprefix("module.")
        old = _OLD_BOTTLENECK.match(key)
        return f"{old[1] or ''}entropy_bottleneck.{_NEW_BOTTLENECK[old[2]]}.{old[3]}" if old else key

    renamed: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if rename(key) in renamed:
            raise ValueError(f"{rename(key)} is there twice, under two names")
        renamed[rename(key)] = value
    return renamed


def read_spec(tensors: Mapping[str, Tensor], variant: str) -> ModelSpec:
    """Widths from the tensors' shapes. Raises KeyError, IndexError, ValueError."""

    def shape(name: str) -> tuple[int, ...]:
        return tuple(tensors[_one_key(name, variant)].shape)

    N = shape("g_a.0.weight")[0]
    M = shape("h_a.0.weight")[1]
    groups: list[int] = []
    while _one_key(name := f"context.{len(groups)}.spatial.weight", variant) in tensors:
        groups.append(shape(name)[1])
    return ModelSpec(N, M, tuple(groups), variant)


def checkpoint_keys(name: str, spec: ModelSpec) -> tuple[str, ...]:
    """What a checkpoint of this variant calls our tensor `name`: one key, or one per slice."""
    key = _one_key(name, spec.variant)
    if "{k}" not in key:
        return (key,)
    return tuple(key.replace("{k}", str(k)) for k in range(len(spec.groups)))


def _one_key(name: str, variant: str) -> str:
    """The key of our tensor `name`, `{k}` left in it where it is stored once per slice."""
    for ours, theirs in KEY_LAYOUTS[variant]:
        pattern = re.escape(ours).replace(r"\{k\}", r"(?P<k>\d+)").replace(r"\{i\}", r"(?P<i>\d+)")
        found = re.match(pattern, name)
        if found:
            key = theirs + name[found.end() :]
            for placeholder, index in found.groupdict().items():
                key = key.replace(f"{{{placeholder}-1}}", str(int(index) - 1)).replace(f"{{{placeholder}}}", index)
            return key
    return name
