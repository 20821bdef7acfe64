"""Files on disk: digests, and writing that leaves either the whole file or none."""

import contextlib
import errno
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def partial_path(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` if the block ends well, and nothing if not.

    A link's target is written, not the link. Raises OSError for a device, pipe or folder; it
    names `path` where the system names nothing, as of a full disk, or the partial file.
    """
    try:
        path = path.resolve()
    except RuntimeError:  # Python before 3.13, on links that lead in a circle
        raise OSError(errno.ELOOP, "links lead in a circle", str(path)) from None
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
