"""A trained checkpoint: a file -> its tensors -> a spec -> a loaded `ELIC`.

A checkpoint is data: pickles are read with `weights_only=True`, and every tensor
is accounted for before the network is built.
"""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from elic_models.checkerboard import spatial_mask
from elic_models.elic import ELIC
from elic_models.keys import checkpoint_key, detect_variant, normalize_keys, read_spec

DEFAULT_NAME = "elic_chandelier_lambda0150.safetensors"

DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)

SUFFIXES = (".safetensors", ".pth", ".pth.tar", ".pt")

TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
"""Buffers of CompressAI's entropy models, of a size that training does not fix."""

WRAPPERS = ("state_dict", "network")
"""Keys under which training scripts store the network's tensors."""


class CheckpointError(Exception):
    """A checkpoint that cannot be loaded; the message is one line and says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    model: in eval mode, float32, its CDF tables present.
    sha256: of the file's bytes, in hex.
    """

    path: Path
    sha256: str
    model: ELIC


def default_checkpoint() -> Path:
    """The checkpoint that a checkout of the project carries.

    Raises CheckpointError where the package was installed without one.
    """
    path = Path(__file__).resolve().parents[1] / "weights" / DEFAULT_NAME
    if not path.is_file():
        raise CheckpointError(
            "no default checkpoint here (only a checkout of the project has one): pass --checkpoint PATH"
        )
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a trained ELIC.

    path: `.safetensors`, `.pth` or `.pth.tar`; tensors plain or under `state_dict` or
    `network`, with or without `module.`; entropy bottleneck in its old or new naming.
    Raises CheckpointError: no such file, unreadable, code inside, or not an ELIC, with
    what is missing, unexpected or misshapen.
    """
    try:
        tensors = normalize_keys(_read_tensors(path))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    variant = detect_variant(tensors)
    if variant is None:
        shown = ", ".join(sorted(tensors)[:3])
        raise CheckpointError(f"{path}: not an ELIC checkpoint of a known layout (its keys begin {shown})")
    try:
        model = ELIC(read_spec(tensors, variant))
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot tell the widths of this {variant} ELIC: {error}") from None
    _load_tensors(model, tensors, path)
    model.update_tables()
    return Checkpoint(path, _sha256(path), model.eval().requires_grad_(False))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, out of whatever they are wrapped in."""
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, where a checkpoint file is needed")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    if not path.name.endswith(SUFFIXES):
        raise CheckpointError(f"{path}: a checkpoint ends in {', '.join(SUFFIXES)}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds no tensors by name")
    for name, value in content.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise CheckpointError(f"{path}: {str(name)!r} is not a plain tensor")
        if value.dtype not in DTYPES:
            raise CheckpointError(f"{path}: {str(name)!r} holds {value.dtype}, which no weight is")
    return {str(name): value for name, value in content.items()}


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file: {_first_line(error)}") from None


def _read_pickle(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file leads it to
        if isinstance(error, pickle.UnpicklingError) and "nsupported" in str(error):
            raise CheckpointError(f"{path}: carries code or objects besides tensors, which is not loaded") from None
        # Not torch's own words: they advise to load the code.
        raise CheckpointError(f"{path}: damaged or no PyTorch checkpoint") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _load_tensors(model: ELIC, tensors: dict[str, Tensor], path: Path) -> None:
    """Move tensors into the model, or say everything that does not fit."""
    own = model.state_dict()
    required = {name for name, _ in model.named_parameters()}
    sized = {name for name in own if not name.endswith(TABLES)}
    names = {checkpoint_key(name, model.spec.variant): name for name in own}
    masks = {checkpoint_key(f"context.{k}.spatial.mask", model.spec.variant) for k in range(len(model.spec.groups))}

    missing = sorted(key for key, name in names.items() if name in required and key not in tensors)
    unexpected = sorted(tensors.keys() - names.keys() - masks)
    misshapen = [
        f"{key} {list(tensors[key].shape)} instead of {list(own[name].shape)}"
        for key, name in sorted(names.items())
        if name in sized and key in tensors and tensors[key].shape != own[name].shape
    ]
    problems = [
        _listing(kind, keys)
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if keys
    ]
    if problems:
        raise CheckpointError(f"{path}: not a whole {model.spec.variant} ELIC: {'; '.join(problems)}")

    loaded = {name: tensors[key] for key, name in names.items() if key in tensors}
    broken = sorted(key for key, name in names.items() if key in tensors and not tensors[key].isfinite().all())
    if broken:
        raise CheckpointError(f"{path}: not finite: {_listing('tensors', broken)}")
    for key in masks & tensors.keys():
        mask = tensors[key].float()
        if mask.shape[-2:] != (5, 5) or not torch.equal(mask, spatial_mask(5).expand_as(mask)):
            raise CheckpointError(f"{path}: {key} is not the checkerboard of a {model.spec.variant} ELIC")
    _make_room_for_tables(model, loaded)
    model.load_state_dict(own | loaded)


def _listing(kind: str, keys: list[str], shown: int = 4) -> str:
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:shown])}{more})"


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
