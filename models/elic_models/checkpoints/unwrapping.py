"""What a checkpoint file holds -> the tensors of the network in it.

Training scripts wrap them under many names (`state_dict`, `model`, `params_ema`, `ema` and
`state_dict` in it, ...), beside optimizers, counters and other networks. So every dict that
holds tensors by name is a candidate, whatever it is called, and an ELIC is what resembles one.
"""

import re
from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor

from elic_models.checkpoints.keys import normalize_keys
from elic_models.checkpoints.matching import best_match

DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)

TOP = "."
"""Name of the candidate that no dict wraps."""

MAX_DEPTH, MAX_DICTS = 5, 10_000
"""Of the search: more than any training script nests, less than a hostile file could make it take."""

_NO_NETWORK = re.compile(r"(^|_)(optim|sched|scaler)", re.IGNORECASE)
"""Names of what holds tensors by name and is no network: optimizers, schedulers, gradient scalers."""

Tensors = dict[str, Tensor]


def unwrap(content: object, key: str | None) -> Tensors:
    """The one network's tensors, their keys normalized.

    content: as `read_content` returns it.
    key: dotted path of the dict to take, or of one around it; without it, the only ELIC there
    is: several are one if their tensors are equal. Where nothing resembles an ELIC, the largest
    candidate is returned, for `matching.py` to say how it differs.
    Raises ValueError: no tensors by name, none under this key, or more than one network.
    """
    found = {name: tensors for name, held in candidates(content).items() if (tensors := normalize_keys(held))}
    if not found:
        raise ValueError("holds no tensors by name")
    if key is not None:
        inside = {name: tensors for name, tensors in found.items() if f"{name}.".startswith(f"{key}.")}
        if not inside:
            raise ValueError(f"no tensors under {key!r}: they are under {', '.join(found)}")
        found = inside
    elics = {name: tensors for name, tensors in found.items() if best_match(tensors).resembles}
    if not elics:
        return checked(max(found.values(), key=len))
    first, *others = (checked(tensors) for tensors in elics.values())
    if any(not _same(first, other) for other in others):
        raise ValueError(
            f"more than one ELIC, under {', '.join(elics)}: choose one by its key, as --key {[*elics][-1]}"
        )
    return first


def candidates(content: object) -> dict[str, Tensors]:
    """The tensors of every dict that holds some by name, by its dotted path; the outermost first.

    What lies beside the tensors (epochs, losses, arguments) is left out.
    """
    found: dict[str, Tensors] = {}
    level = [("", content)] if isinstance(content, Mapping) else []
    for _ in range(MAX_DEPTH):
        for path, held in level:
            tensors = {
                name: value for name, value in held.items() if isinstance(name, str) and isinstance(value, Tensor)
            }
            if tensors:
                found[path or TOP] = tensors
        inside = (
            (f"{path}.{name}" if path else name, value)
            for path, held in level
            for name, value in held.items()
            if isinstance(name, str) and isinstance(value, Mapping) and not _NO_NETWORK.search(name)
        )
        level = list(islice(inside, MAX_DICTS))
    return found


def checked(tensors: Tensors) -> Tensors:
    """The same. Raises ValueError for tensors of a kind that no weights have."""
    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ValueError(f"{name!r} is not a plain tensor")
        if value.dtype not in DTYPES:
            raise ValueError(f"{name!r} holds {value.dtype}, which no weight is")
    return tensors


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )
