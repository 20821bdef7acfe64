"""A trained checkpoint: a file -> its tensors -> a spec -> a loaded `ELIC`.

`reading.py` opens the file, `unwrapping.py` finds the network's tensors in it, `matching.py`
accounts for every one of them; here the network is built and filled, and a checkpoint of any
layout written as safetensors.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from elic_models.checkerboard import spatial_mask
from elic_models.checkpoints.keys import KeyLayout, checkpoint_keys
from elic_models.checkpoints.matching import TABLES, best_match, listing, mask_keys, match
from elic_models.checkpoints.reading import first_line, read_content
from elic_models.checkpoints.unwrapping import unwrap
from elic_models.elic import ELIC
from elic_models.errors import CheckpointError
from elic_models.spec import VARIANTS, ModelSpec

_LAST_LAYER = re.compile(r"context\.\d+\.(anchor_)?aggregation\.4\.(weight|bias)")
"""The parameter nets' output layers: [2C, ...], in halves of means and scales."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    model: in eval mode, float32, its CDF tables present.
    sha256: of the file's bytes, in hex.
    """

    path: Path
    sha256: str
    model: ELIC


def load_checkpoint(path: Path, variant: str | None = None, key: str | None = None) -> Checkpoint:
    """Load a trained ELIC.

    path: a file of safetensors or of `torch.save`, of any name. Its tensors may lie in dicts
    (`state_dict`, `model`, `params_ema`, `ema` and `state_dict` in it, ...), beside optimizers
    and counters; `module.`, `_orig_mod.`, `model.` and `net.` before all keys are stripped, and
    the entropy bottleneck may have its old or new naming.
    variant: the key in `VARIANTS` that it must be; by default what the metadata of a
    converted checkpoint says, and else what the keys and shapes are.
    key: dotted path of the dict to read, where the file holds more than one ELIC.
    Raises CheckpointError: no such file, unreadable, code inside, several networks, or not an
    ELIC, with what is missing, unexpected or misshapen.
    """
    model = _build(*_read(path, variant, key), path)
    return Checkpoint(path, _sha256(path), model)


def convert_checkpoint(source: Path, target: Path, variant: str | None = None, key: str | None = None) -> Checkpoint:
    """Write any checkpoint that loads as `.safetensors`: no pickle, its variant named.

    Tensors and their keys stay the source's, but for prefixes that are no part of the network
    and the old naming of the entropy bottleneck. Metadata: variant, N, M, groups.
    target: replaced if it is there, in one step, and not before the source has loaded.
    variant, key: of the source, as `load_checkpoint` takes them.
    Returns the checkpoint at `target`. Raises CheckpointError, as `load_checkpoint`,
    and for a target that cannot be written or does not end in `.safetensors`.
    """
    if target.suffix != ".safetensors":
        raise CheckpointError(f"{target}: a converted checkpoint ends in .safetensors")
    tensors, spec, layout = _read(source, variant, key)
    model = _build(tensors, spec, layout, source)
    # Copies: safetensors stores dense tensors only, each with memory of its own.
    copies = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    metadata = {"variant": spec.variant, "N": str(spec.N), "M": str(spec.M), "groups": ",".join(map(str, spec.groups))}
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        save_file(copies, part, metadata)
        part.replace(target)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{target}: cannot be written: {first_line(error)}") from None
    finally:
        part.unlink(missing_ok=True)
    return Checkpoint(target, _sha256(target), model)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path, variant: str | None, key: str | None) -> tuple[dict[str, Tensor], ModelSpec, KeyLayout]:
    """Tensors that are a whole ELIC, by the checkpoint's own keys, and which one by which layout."""
    if variant is not None and variant not in VARIANTS:
        raise CheckpointError(f"unknown ELIC variant {variant!r}: known are {', '.join(VARIANTS)}")
    content, metadata = read_content(path)
    try:
        tensors = unwrap(content, key)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    named = variant or metadata.get("variant")
    found = match(tensors, named) if named in VARIANTS else best_match(tensors)
    if found.spec is not None and found.whole:
        return tensors, found.spec, found.layout
    if named in VARIANTS and (other := best_match(tensors)).whole:
        raise CheckpointError(f"{path}: a {other.variant} ELIC, where {named} is named: {found.differences()}")
    if named not in VARIANTS and not found.resembles:
        raise CheckpointError(
            f"{path}: not an ELIC checkpoint of a known layout; nearest is {found.variant}, with {found.differences()}"
        )
    if found.spec is None:
        raise CheckpointError(f"{path}: cannot tell the widths of this {found.variant} ELIC: {found.problem}")
    raise CheckpointError(f"{path}: not a whole {found.variant} ELIC: {found.differences()}")


def _build(tensors: Mapping[str, Tensor], spec: ModelSpec, layout: KeyLayout, path: Path) -> ELIC:
    """The network with these tensors, which `match` found whole, and with its tables."""
    _refuse_broken(tensors, spec, layout, path)
    model = ELIC(spec)
    own = model.state_dict()
    loaded: dict[str, Tensor] = {}
    for name in own:
        keys = [key for key in checkpoint_keys(name, spec, layout) if key in tensors]
        for key in keys[1:]:
            if not torch.equal(tensors[keys[0]], tensors[key]):
                raise CheckpointError(f"{path}: {keys[0]} and {key} differ, where all slices must be coded alike")
        if keys:
            loaded[name] = tensors[keys[0]]
            if spec.wiring.scales_first and _LAST_LAYER.fullmatch(name):
                scales, means = loaded[name].chunk(2)
                loaded[name] = torch.cat((means, scales))
    _make_room_for_tables(model, loaded)
    model.load_state_dict(own | loaded)
    model.update_tables()
    return model.eval().requires_grad_(False)


def _refuse_broken(tensors: Mapping[str, Tensor], spec: ModelSpec, layout: KeyLayout, path: Path) -> None:
    """Raise CheckpointError for values that no trained ELIC has."""
    broken = tuple(sorted(key for key, value in tensors.items() if not value.isfinite().all()))
    if broken:
        raise CheckpointError(f"{path}: not finite: {listing('tensors', broken)}")
    for key in mask_keys(spec, layout) & tensors.keys():
        mask = tensors[key].float()
        if mask.shape[-2:] != (5, 5) or not torch.equal(mask, spatial_mask(5).expand_as(mask)):
            raise CheckpointError(f"{path}: {key} is not the checkerboard of a {spec.variant} ELIC")


def _make_room_for_tables(model: ELIC, loaded: dict[str, Tensor]) -> None:
    """CDF tables have the size that the machine which made them chose.

    A module's tables are taken together or not at all: half of them code nothing.
    """
    for prefix in ("entropy_bottleneck", "gaussian_conditional"):
        module = model.get_submodule(prefix)
        tables = [n for n in TABLES if hasattr(module, n)]
        whole = all(loaded.get(f"{prefix}.{n}", torch.empty(0)).numel() for n in tables)
        for n in tables:
            if whole:
                setattr(module, n, torch.empty_like(loaded[f"{prefix}.{n}"]))
            else:
                loaded.pop(f"{prefix}.{n}", None)
