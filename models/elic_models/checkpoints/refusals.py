"""Why a file is no checkpoint: its first bytes, or what PyTorch said -> the cause, and what to do about it.

`reading.py` asks. What is said here never advises to load a file's code.
"""

import codecs
import pickle
import re
import struct
import zipfile
from pathlib import Path

HEAD = 512
"""Bytes of a file that tell its kind: a tar archive's mark ends at 262."""

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
"""What other files begin with."""

SAVE_STATE_DICT = 'where the model can be loaded, save its state_dict alone: torch.save(model.state_dict(), "elic.pth")'

_NAMED_CLASS = re.compile(r"\bGLOBAL ([\w.]+)")
"""In PyTorch's message: what a pickle asks to import, and may not."""

_NEWER_PROTOCOL = "operand 149"
"""In PyTorch's message: the frame that pickles begin with since protocol 4."""

_CUT_SHORT = (EOFError, struct.error)
"""What reading a pickle raises at the end of its file."""


def cause_in_head(head: bytes) -> str | None:
    """What a file is instead of a checkpoint, as its first `HEAD` bytes tell; None if they do not."""
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
    return f"a text, no checkpoint; it begins with {first!r}"


def _as_text(head: bytes) -> str | None:
    """The bytes, if they are text; the last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return text.strip() if all(c.isprintable() or c.isspace() for c in text) else None


def cause_in_zip(path: Path) -> str | None:
    """Why a file that begins as a zip is none that PyTorch wrote; None if it is one."""
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
    """What kept PyTorch from reading a file with `weights_only=True`, not in its words: they advise to load code."""
    said = str(error)
    if isinstance(error, pickle.UnpicklingError):
        named = _NAMED_CLASS.search(said)
        if named:
            return f"carries {named[1]}, code or an object besides tensors, which is not loaded: {SAVE_STATE_DICT}"
        if _NEWER_PROTOCOL in said:
            return (
                f"a pickle of protocol 4 or newer, of which PyTorch cannot load tensors without code: {SAVE_STATE_DICT}"
            )
        if "nsupported" in said:
            return f"carries code or objects besides tensors, which is not loaded: {SAVE_STATE_DICT}"
    if isinstance(error, _CUT_SHORT) or "unexpected EOF" in said:
        return "the file is truncated, its end is missing: download or copy it again"
    return "damaged or no PyTorch checkpoint"
