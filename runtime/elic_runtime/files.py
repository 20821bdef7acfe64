"""Files on disk: computing digests, and writing a file either whole or not at all."""

import contextlib
import errno
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def partial_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it replaces `path` if the block ends without an exception.

    If `path` is a link, its target is replaced and not the link.

    Parameters
    ----------
    path : Path
        The file to write.

    Raises
    ------
    OSError
        If `path` is a device, pipe or folder, or cannot be written. The error names `path` even if the system names no
        file, as for a full disk, or the temporary one.

    """
    try:
        path = path.resolve()
    except RuntimeError:  # raised by Python before 3.13 if links form a circle
        raise OSError(errno.ELOOP, "links form a circle", str(path)) from None
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename in (None, str(partial)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises OSError."""
    with partial_path(path) as partial:
        partial.write_bytes(data)
