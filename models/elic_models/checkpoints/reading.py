"""Read a checkpoint file: path -> its content, which `unwrapping.py` searches for the network's tensors.

The content decides how a file is read, not its suffix: it begins with a safetensors header, or is a zip archive written
by PyTorch, or a pickle written by older versions of PyTorch. A checkpoint is data and never code, so pickles are read
with `weights_only=True`. `refusals.py` explains why a file is not a checkpoint.
"""

import json
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from elic_models.checkpoints.refusals import HEAD, cause_in_error, cause_in_head, cause_in_zip
from elic_models.errors import CheckpointError

PICKLE, ZIP = b"\x80", b"PK\x03\x04"
"""First bytes of a pickle of protocol 2 or later, and of a zip archive."""

MAX_HEADER = 100_000_000
"""Largest size of a safetensors header in bytes, a limit of the format itself."""


def read_content(path: Path) -> tuple[object, dict[str, str]]:
    """Read a checkpoint file.

    Parameters
    ----------
    path : Path
        The file, with any name.

    Returns
    -------
    content : object
        The file's content: tensors, possibly nested in other objects.
    metadata : dict of str to str
        The metadata of a safetensors file; empty for other files.

    Raises
    ------
    CheckpointError
        If the file is missing, unreadable or damaged, contains code, or is not a checkpoint.

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
    """Return the size of a safetensors header: 8 bytes state it, and the header begins with a brace.

    Returns None if the file is not of safetensors.
    """
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
        raise CheckpointError(f"{path}: damaged, or not a safetensors file: {first_line(error)}") from None


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
        # Given a path instead of an open file, torch.load would guess the format from the suffix.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.load warns about pickles that it then refuses
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch.load raise any exception
        raise CheckpointError(f"{path}: {cause_in_error(error)}") from None


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its type if there is no message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
