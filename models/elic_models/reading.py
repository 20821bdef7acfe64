"""A checkpoint file -> its tensors by name, out of whatever they are wrapped in.

A checkpoint is data: pickles are read with `weights_only=True`. What the tensors are
is for `matching.py` to say.
"""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from elic_models.errors import CheckpointError

DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)

SUFFIXES = (".safetensors", ".pth", ".pth.tar", ".pt")

WRAPPERS = ("state_dict", "network")
"""Keys under which training scripts store the network's tensors."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and the metadata that a safetensors file may have.

    Raises CheckpointError: no such file, unreadable, code inside, or no tensors.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, where a checkpoint file is needed")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    if not path.name.endswith(SUFFIXES):
        raise CheckpointError(f"{path}: a checkpoint ends in {', '.join(SUFFIXES)}")
    content, metadata = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path), {})
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
    return {str(name): value for name, value in content.items()}, metadata


def _read_safetensors(path: Path) -> tuple[object, dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file: {first_line(error)}") from None


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


def first_line(error: Exception) -> str:
    """What a one-line message may quote of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]
