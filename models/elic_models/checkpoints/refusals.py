"""Explain why a file is not a checkpoint, and what to do about it, from its first bytes or PyTorch's error.

`reading.py` puts these explanations into its errors. None of them advises the user to run the code in a file.
"""

import codecs
import pickle
import re
import struct
import zipfile
from pathlib import Path

HEAD = 512
"""How many bytes at the beginning of a file are examined; a tar archive's signature ends at byte 262."""

STARTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer in place of the file: run git lfs pull"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!", "a rar archive: unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes: a checkpoint of PyTorch is needed"),
)
"""First bytes of other kinds of files, and how an error describes each."""

SAVE_STATE_DICT = 'where the model can be loaded, save its state_dict alone: torch.save(model.state_dict(), "elic.pth")'

_NAMED_CLASS = re.compile(r"\bGLOBAL ([\w.]+)")
"""The name, in PyTorch's message, of the object that a pickle tried to import."""

_NEWER_PROTOCOL = "operand 149"
"""Part of PyTorch's message about the frame that a pickle of protocol 4 or later begins with."""

_CUT_SHORT = (EOFError, struct.error)
"""Exceptions that are raised when a pickle ends early."""


def cause_in_head(head: bytes) -> str | None:
    """Explain what a file is instead of a checkpoint.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes of the file.

    Returns
    -------
    str or None
        None if these bytes do not show what the file is.

    """
    if not head:
        return "an empty file: download or copy it again"
    for start, cause in STARTS:
        if head.startswith(start):
            return cause
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    text = _as_text(head)
    if text is None:
        return None
    if text.startswith("<"):
        return "a web page in place of the file: download the file itself"
    first = text.splitlines()[0][:60] if text else ""
    return f"a text file, not a checkpoint; it begins with {first!r}"


def _as_text(head: bytes) -> str | None:
    """Return the bytes as text, or None if they are not text. The last character may be incomplete."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return text.strip() if all(c.isprintable() or c.isspace() for c in text) else None


def cause_in_zip(path: Path) -> str | None:
    """Explain why a file that begins like a zip archive was not written by `torch.save`; None if it was."""
    if not zipfile.is_zipfile(path):
        return "the file is truncated, its end is missing: download or copy it again"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if any("/code/" in name for name in names):
        return f"a TorchScript archive, which is code and is not loaded: {SAVE_STATE_DICT}"
    if not any(name.endswith("data.pkl") for name in names):
        return "a zip archive without a checkpoint of PyTorch in it: unpack it first"
    return None


def cause_in_error(error: Exception) -> str:
    """Explain why PyTorch cannot read a file with `weights_only=True`.

    PyTorch's own messages are not repeated, because they advise the user to run the file's code.

    Parameters
    ----------
    error : Exception
        What `torch.load` raised.

    """
    said = str(error)
    if isinstance(error, pickle.UnpicklingError):
        named = _NAMED_CLASS.search(said)
        if named:
            return f"carries {named[1]}, code or an object besides tensors, which is not loaded: {SAVE_STATE_DICT}"
        if _NEWER_PROTOCOL in said:
            return (
                "a pickle of protocol 4 or newer, from which PyTorch cannot load tensors without running code: "
                f"{SAVE_STATE_DICT}"
            )
        if "nsupported" in said:
            return f"carries code or objects besides tensors, which is not loaded: {SAVE_STATE_DICT}"
    if isinstance(error, _CUT_SHORT) or "unexpected EOF" in said:
        return "the file is truncated, its end is missing: download or copy it again"
    return "damaged, or not a PyTorch checkpoint"
