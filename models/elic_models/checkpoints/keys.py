"""Names of tensors: how each implementation's checkpoints call the tensors of this project's network.

A layout is a list of pairs: a prefix of our names, and the prefix of the checkpoint's keys. The first pair that fits a
name is used; a name that no pair fits is the same in both. A variant has one layout for each naming that its
implementation has used. In a prefix, `{k}` is the index of a slice, `{k-1}` the index before it, and `{i}` the index of
a layer. A `{k}` in the checkpoint's prefix alone means that the checkpoint stores, once per slice, a tensor that our
network has once.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping

from torch import Tensor

from elic_models.spec import CHANDELIER, COMPRESSAI_CHANDELIER, COMPRESSAI_OFFICIAL, JIANG, ModelSpec

KeyLayout = tuple[tuple[str, str], ...]

_CHANDELIER: KeyLayout = (
    ("context.{k}.channel.", "cc_transforms.{k-1}."),
    ("context.{k}.spatial.", "context_prediction.{k}."),
    ("context.{k}.aggregation.", "ParamAggregation.{k}."),
)

_JIANG: KeyLayout = (
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
)

_COMPRESSAI_CONTEXT: KeyLayout = (
    ("context.{k}.channel.", "latent_codec.y.channel_context.y{k}."),
    ("context.{k}.spatial.", "latent_codec.y.latent_codec.y{k}.context_prediction."),
    ("context.{k}.aggregation.", "latent_codec.y.latent_codec.y{k}.entropy_parameters."),
    ("gaussian_conditional.", "latent_codec.y.latent_codec.y{k}.y.gaussian_conditional."),
)

_COMPRESSAI: tuple[KeyLayout, ...] = (
    # Up to CompressAI 1.2.8.
    (
        ("h_a.", "latent_codec.hyper.h_a."),
        ("h_s.", "latent_codec.hyper.h_s."),
        ("entropy_bottleneck.", "latent_codec.hyper.entropy_bottleneck."),
        *_COMPRESSAI_CONTEXT,
    ),
    # CompressAI's main branch, since its HyperpriorLatentCodec contains h_a and h_s (pull requests 352 and 355).
    (
        ("h_a.", "latent_codec.h_a."),
        ("h_s.", "latent_codec.h_s."),
        ("entropy_bottleneck.", "latent_codec.z.entropy_bottleneck."),
        *_COMPRESSAI_CONTEXT,
    ),
)

KEY_LAYOUTS: dict[str, tuple[KeyLayout, ...]] = {
    CHANDELIER.name: (_CHANDELIER,),
    JIANG.name: (_JIANG,),
    COMPRESSAI_OFFICIAL.name: _COMPRESSAI,
    COMPRESSAI_CHANDELIER.name: _COMPRESSAI,
}

PREFIXES = ("model.", "net.", "network.")
"""Attributes in which training code keeps the network. A prefix is stripped if every key has it."""

WRAPPING_MODULES = frozenset(
    {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
)
"""Names that PyTorch's wrappers (data parallel, compiled, sharded, averaged, ...) insert into keys.

They are dropped anywhere in a key, since no ELIC has a layer of such a name.
"""

BOOKKEEPING = frozenset(
    {"n_averaged", "total_ops", "total_params", "epoch", "step", "global_step", "lr", "loss", "best_loss"}
)
"""Last parts of the keys of single numbers that weight averaging, thop and training scripts store among the weights."""

_OLD_BOTTLENECK = re.compile(r"^(.*\b)?entropy_bottleneck\._(?:(matrix|bias|factor)|(matrices|biases|factors)\.)(\d+)$")
_NEW_BOTTLENECK = {"matrix": "matrices", "bias": "biases", "factor": "factors"}


def normalize_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove what is not part of the network, and give the entropy bottleneck's tensors their present names.

    Names of wrappers and shared prefixes are removed from the keys, and numbers that training leaves among the weights
    are removed from the tensors. `entropy_bottleneck._matrix0`, or `_matrices.0` of later CompressAI releases, becomes
    `entropy_bottleneck.matrices.0`, as CompressAI 1.2.8 writes it.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors by their keys in the checkpoint.

    Returns
    -------
    dict of str to Tensor
        The network's tensors by normalized keys.

    Raises
    ------
    ValueError
        If two keys become the same name.

    """
    renamed: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _own_name(key)
        if value.numel() == 1 and name.rpartition(".")[2] in BOOKKEEPING:
            continue
        if name in renamed:
            raise ValueError(f"{name} is stored twice, under two names")
        renamed[name] = value
    prefix = _shared_prefix(renamed)
    return {name.removeprefix(prefix): value for name, value in renamed.items()}


def _own_name(key: str) -> str:
    """Return a key without the names of wrappers, and with the entropy bottleneck's present names."""
    key = ".".join(part for part in key.split(".") if part not in WRAPPING_MODULES)
    old = _OLD_BOTTLENECK.match(key)
    return f"{old[1] or ''}entropy_bottleneck.{_NEW_BOTTLENECK.get(old[2], old[3])}.{old[4]}" if old else key


def _shared_prefix(keys: Collection[str]) -> str:
    """Return the longest chain of `PREFIXES` that every key begins with."""
    prefix = ""
    while step := next((p for p in PREFIXES if keys and all(key.startswith(prefix + p) for key in keys)), ""):
        prefix += step
    return prefix


WIDTHS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "N": (
        *(("g_a.0.weight", 0, 1), ("g_a.0.bias", 0, 1), ("g_a.4.bias", 0, 1)),
        *(("h_a.0.bias", 0, 1), ("entropy_bottleneck.quantiles", 0, 1)),
    ),
    "M": (("h_a.0.weight", 1, 1), ("g_a.13.weight", 0, 1), ("g_a.13.bias", 0, 1), ("g_s.1.weight", 0, 1)),
    "group": (
        *(("context.{k}.spatial.weight", 1, 1), ("context.{k}.spatial.weight", 0, 2)),
        *(("context.{k}.spatial.bias", 0, 2), ("context.{k}.aggregation.4.weight", 0, 2)),
        *(("context.{k}.aggregation.4.bias", 0, 2),),
    ),
}
"""Where each width can be read: our tensor, its axis, and the ratio of that axis's size to the width.

There are several places for each, so that the width is still known if one of these tensors is missing or misshapen, and
the error can name that tensor.
"""


def read_spec(tensors: Mapping[str, Tensor], variant: str, layout: KeyLayout) -> ModelSpec:
    """Read the widths of a network from the shapes of its tensors.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors by normalized keys.
    variant : str
        A key of `elic_models.VARIANTS`.
    layout : KeyLayout
        One of the variant's layouts.

    Raises
    ------
    KeyError
        If every tensor that shows a width is missing; its argument is the key of one of them.
    ValueError
        If the shapes cannot be those of an ELIC.

    """
    groups: list[int] = []
    while any(_one_key(name.format(k=len(groups)), layout) in tensors for name, _, _ in WIDTHS["group"]):
        groups.append(_width(tensors, "group", layout, len(groups)))
    return ModelSpec(_width(tensors, "N", layout), _width(tensors, "M", layout), tuple(groups), variant)


def _width(tensors: Mapping[str, Tensor], what: str, layout: KeyLayout, k: int = 0) -> int:
    """Return the width that most tensors show; on a tie, the one that is shown first."""
    keys = [(_one_key(name.format(k=k), layout), axis, times) for name, axis, times in WIDTHS[what]]
    present = [(key, axis, times) for key, axis, times in keys if key in tensors]
    if not present:
        raise KeyError(keys[0][0])
    widths = [tensors[key].shape[axis] // times for key, axis, times in present if tensors[key].dim() > axis]
    if not widths:
        raise ValueError(f"{present[0][0]} has the shape {list(tensors[present[0][0]].shape)}")
    return Counter(widths).most_common(1)[0][0]


def checkpoint_keys(name: str, spec: ModelSpec, layout: KeyLayout | None = None) -> tuple[str, ...]:
    """Return the keys under which a checkpoint stores a tensor of our network.

    Parameters
    ----------
    name : str
        The tensor's name in `ELIC.state_dict()`.
    spec : ModelSpec
        The network's widths and variant.
    layout : KeyLayout, optional
        One of the variant's layouts; by default the first.

    Returns
    -------
    tuple of str
        One key, or one per slice if the checkpoint stores the tensor once per slice.

    """
    key = _one_key(name, layout or KEY_LAYOUTS[spec.variant][0])
    if "{k}" not in key:
        return (key,)
    return tuple(key.replace("{k}", str(k)) for k in range(len(spec.groups)))


def _one_key(name: str, layout: KeyLayout) -> str:
    """Return the key of our tensor `name`. It contains `{k}` if the checkpoint stores the tensor once per slice."""
    for ours, theirs in layout:
        pattern = re.escape(ours).replace(r"\{k\}", r"(?P<k>\d+)").replace(r"\{i\}", r"(?P<i>\d+)")
        found = re.match(pattern, name)
        if found:
            key = theirs + name[found.end() :]
            for placeholder, index in found.groupdict().items():
                key = key.replace(f"{{{placeholder}-1}}", str(int(index) - 1)).replace(f"{{{placeholder}}}", index)
            return key
    return name
