"""Load a trained checkpoint: file -> tensors -> spec -> `ELIC` with weights.

`reading.py` opens the file, `unwrapping.py` finds the network's tensors in it, and `matching.py` compares their names
and shapes with those of every variant. This module builds the network and loads the tensors into it. It also converts a
checkpoint of any layout to safetensors.
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
"""Names of the parameter nets' output layers: [2C, ...], one half for the means and one for the scales."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Parameters
    ----------
    path : Path
        The checkpoint file.
    sha256 : str
        SHA-256 of the file's bytes, in hex.
    model : ELIC
        The network: float32, in eval mode, with its CDF tables.

    """

    path: Path
    sha256: str
    model: ELIC


def load_checkpoint(path: Path, variant: str | None = None, key: str | None = None) -> Checkpoint:
    """Load a trained ELIC.

    The tensors may be nested in dicts (`state_dict`, `model`, `params_ema`, ...), beside optimizers and counters.
    Prefixes such as `module.`, `_orig_mod.`, `model.` and `net.` are stripped, and the entropy bottleneck may have its
    old or new names.

    Parameters
    ----------
    path : Path
        A file written by safetensors or by `torch.save`. Its content decides how it is read, not its name.
    variant : str, optional
        The variant that the checkpoint must be, a key of `VARIANTS`. By default it is taken from the metadata of a
        converted checkpoint, or inferred from the keys and shapes.
    key : str, optional
        Dotted path of the dict to read, for a file with more than one ELIC.

    Raises
    ------
    CheckpointError
        If the file is missing or unreadable, contains code or several networks, or is not an ELIC; the message then
        lists what is missing, unexpected or misshapen.

    """
    model = _build(*_read(path, variant, key), path)
    return Checkpoint(path, _sha256(path), model)


def convert_checkpoint(source: Path, target: Path, variant: str | None = None, key: str | None = None) -> Checkpoint:
    """Convert a checkpoint of any layout to safetensors, which contains no pickle and names the variant.

    The tensors and their keys stay those of the source, except that prefixes which are not part of the network are
    removed and the entropy bottleneck gets its present names. The metadata are the variant, N, M and the groups.

    Parameters
    ----------
    source : Path
        A checkpoint that `load_checkpoint` loads.
    target : Path
        File to write, ending in `.safetensors`. An existing file is replaced in one step, after the source has loaded.
    variant, key : str, optional
        As for `load_checkpoint`.

    Returns
    -------
    Checkpoint
        The checkpoint at `target`.

    Raises
    ------
    CheckpointError
        If `load_checkpoint` raises it, or the target cannot be written or does not end in `.safetensors`.

    """
    if target.suffix != ".safetensors":
        raise CheckpointError(f"{target}: the name of a converted checkpoint ends in .safetensors")
    tensors, spec, layout = _read(source, variant, key)
    model = _build(tensors, spec, layout, source)
    # Safetensors stores only contiguous tensors that share no memory.
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
    """Read the tensors of a whole ELIC by the checkpoint's own keys, with their spec and key layout."""
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
        raise CheckpointError(f"{path}: a {other.variant} ELIC, not the named {named}: {found.differences()}")
    if named not in VARIANTS and not found.resembles:
        raise CheckpointError(
            f"{path}: not an ELIC checkpoint of a known layout; nearest is {found.variant}, with {found.differences()}"
        )
    if found.spec is None:
        raise CheckpointError(f"{path}: cannot tell the widths of this {found.variant} ELIC: {found.problem}")
    raise CheckpointError(f"{path}: not a whole {found.variant} ELIC: {found.differences()}")


def _build(tensors: Mapping[str, Tensor], spec: ModelSpec, layout: KeyLayout, path: Path) -> ELIC:
    """Build the network from tensors that `match` found to be whole, and complete its CDF tables."""
    _refuse_broken(tensors, spec, layout, path)
    model = ELIC(spec)
    own = model.state_dict()
    loaded: dict[str, Tensor] = {}
    for name in own:
        keys = [key for key in checkpoint_keys(name, spec, layout) if key in tensors]
        for key in keys[1:]:
            if not torch.equal(tensors[keys[0]], tensors[key]):
                raise CheckpointError(f"{path}: {keys[0]} and {key} differ, but must be equal in all slices")
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
    """Raise CheckpointError if a value is not finite, or a mask is not the checkerboard."""
    broken = tuple(sorted(key for key, value in tensors.items() if not value.isfinite().all()))
    if broken:
        raise CheckpointError(f"{path}: not finite: {listing('tensors', broken)}")
    for key in mask_keys(spec, layout) & tensors.keys():
        mask = tensors[key].float()
        if mask.shape[-2:] != (5, 5) or not torch.equal(mask, spatial_mask(5).expand_as(mask)):
            raise CheckpointError(f"{path}: {key} is not the checkerboard of a {spec.variant} ELIC")


def _make_room_for_tables(model: ELIC, loaded: dict[str, Tensor]) -> None:
    """Give the model's CDF tables the sizes of the loaded ones, which are not fixed by the spec.

    A module's tables are loaded all together or not at all: with some of them missing, the others are of no use.
    """
    for prefix in ("entropy_bottleneck", "gaussian_conditional"):
        module = model.get_submodule(prefix)
        tables = [name for name in TABLES if hasattr(module, name)]
        whole = all(loaded.get(f"{prefix}.{name}", torch.empty(0)).numel() for name in tables)
        for name in tables:
            if whole:
                setattr(module, name, torch.empty_like(loaded[f"{prefix}.{name}"]))
            else:
                loaded.pop(f"{prefix}.{name}", None)
