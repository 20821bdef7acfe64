"""Find the network's tensors in the content of a checkpoint file.

Training scripts nest them under many names (`state_dict`, `model`, `params_ema`, `ema.state_dict`, ...), beside
optimizers, counters and other networks. Every dict that contains tensors by name is therefore a candidate, whatever its
name, and the candidate that resembles an ELIC is taken.
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
"""Name of the candidate that is the file's whole content, and not nested in another dict."""

MAX_DEPTH, MAX_DICTS = 5, 10_000
"""Limits of the search: above what training scripts write, and low enough to bound the time for a hostile file."""

_NO_NETWORK = re.compile(r"(^|_)(optim|sched|scaler)", re.IGNORECASE)
"""Names of dicts that contain tensors but no network: optimizers, schedulers and gradient scalers."""

Tensors = dict[str, Tensor]


def unwrap(content: object, key: str | None) -> Tensors:
    """Find the tensors of the one network in a file.

    Parameters
    ----------
    content : object
        The file's content, as `read_content` returns it.
    key : str, optional
        Dotted path of the dict to take, or of a dict around it. By default the only ELIC in the file is taken; several
        with equal tensors count as one.

    Returns
    -------
    dict of str to Tensor
        Tensors by normalized keys. If nothing resembles an ELIC, this is the largest candidate, so that `matching.py`
        can describe how it differs.

    Raises
    ------
    ValueError
        If there are no tensors, none under this key, or more than one network.

    """
    found = {name: tensors for name, held in candidates(content).items() if (tensors := normalize_keys(held))}
    if not found:
        raise ValueError("contains no tensors by name")
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
    """Collect the tensors of every dict that contains some, by the dict's dotted path; outer dicts come first.

    Other content of these dicts (epochs, losses, arguments) is left out.

    Parameters
    ----------
    content : object
        The file's content, as `read_content` returns it.

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
    """Return the tensors unchanged. Raises ValueError if one is not dense or has a dtype that weights do not have."""
    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ValueError(f"{name!r} is not a plain tensor")
        if value.dtype not in DTYPES:
            raise ValueError(f"{name!r} is {value.dtype}, which is not a dtype of weights")
    return tensors


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )
