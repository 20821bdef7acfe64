"""A checkpoint file -> what it holds: tensors, in whatever they are wrapped.

A file's content says what it is, not its suffix: a safetensors header, a zip of PyTorch's,
or the pickle that older PyTorch wrote. A checkpoint is data: pickles are read with
`weights_only=True`. `unwrapping.py` finds the tensors, and `refusals.py` says why a file is none.
"""

import json
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from elic_models.checkpoints.refusals import HEAD, cause_in_error, cause_in_head, cause_in_zip
from elic_models.errors import CheckpointError

PICKLE, ZIP = b"\x80", b"PK\x03\x04"
"""First bytes of a pickle since protocol 2, and of a zip."""

MAX_HEADER = 100_000_000
"""Bytes that a safetensors header may have (the format's own bound)."""


def read_content(path: Path) -> tuple[object, dict[str, str]]:
    """What a file holds, and the metadata that a safetensors file may have.

    path: of any name; the content says how it is read.
    Raises CheckpointError: no such file, unreadable, something else, damaged, or with code inside.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, where a checkpoint file is needed")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    if _header_bytes(head) is not None:
        return _read_safetensors(path, head)
    if not head.startswith((PICKLE, ZIP)):
        raise CheckpointError(f"{path}: {cause_in_head(head) or 'damaged, or neither safetensors nor PyTorch'}")
    cause = cause_in_zip(path) if head.startswith(ZIP) else None
    if cause is not None:
        raise CheckpointError(f"{path}: {cause}")
    return _read_pickle(path), {}


def _header_bytes(head: bytes) -> int | None:
    """Length of a safetensors header, which 8 bytes state and a brace begins; None for another file."""
    length = int.from_bytes(head[:8], "little")
    return length if head[8:9] == b"{" and length <= MAX_HEADER else None


def _read_safetensors(path: Path, head: bytes) -> tuple[object, dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        if _ends_early(path, head):
            raise CheckpointError(
                f"{path}: the file is truncated, its end is missing: download or copy it again"
            ) from None
        raise CheckpointError(f"{path}: damaged or no safetensors file: {first_line(error)}") from None


def _ends_early(path: Path, head: bytes) -> bool:
    """Whether a safetensors file is shorter than its header says."""
    start, size = 8 + (_header_bytes(head) or 0), path.stat().st_size
    if size < start:
        return True
    with path.open("rb") as file:
        header = file.read(start)[8:]
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"]
        return size < start + max(ends, default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _read_pickle(path: Path) -> object:
    try:
        # As a file, not by its name: torch would take a suffix for the format.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that it then refuses
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file leads it to
        raise CheckpointError(f"{path}: {cause_in_error(error)}") from None


def first_line(error: Exception) -> str:
    """What a one-line message may quote of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]
