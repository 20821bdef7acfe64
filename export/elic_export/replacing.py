"""A folder that is replaced as a whole: the earlier one stays until the new one is complete."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from elic_export.errors import ExportError

PARTIAL, _OLD = ".partial", ".old"
"""Endings of the folders beside a folder that is being replaced."""


@contextmanager
def replaced(out: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """Give an empty folder to fill, which becomes `out` if the block ends without an error.

    After an error nothing of the new folder is left. What an export that was killed left beside `out` is cleared away,
    and an earlier folder that it had just moved aside is put back.

    Parameters
    ----------
    out : Path
        The folder to replace, or to make.
    check : callable
        Raises ExportError for an existing `out` that must not be replaced.

    Raises
    ------
    ExportError
        If `out` cannot be replaced or written, or another export is writing it.

    """
    out = out.resolve()
    if out.is_mount() or out == Path.cwd():
        raise ExportError(f"{out}: cannot be replaced as a whole: name a folder in it with --out")
    if out.exists():
        check(out)
    try:
        with locked(out):
            partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=PARTIAL, dir=out.parent))
            try:
                yield partial
                partial.chmod(0o755)
                _replace(out, partial)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror}") from None


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other exports and compilations from a folder, and clear away what a killed one left beside it.

    Parameters
    ----------
    out : Path
        The folder.

    Raises
    ------
    ExportError
        If another export or compilation is writing it.

    """
    out = out.resolve()
    try:
        with _lock(out).acquire(timeout=0):
            out.parent.mkdir(parents=True, exist_ok=True)
            _clear(out)
            yield
    except Timeout:
        raise ExportError(f"{out}: another export or compilation is writing it: wait for it") from None


def _lock(out: Path) -> FileLock:
    """The lock of a folder, which the system releases when its owner ends or is killed."""
    name = hashlib.sha256(str(out).encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"elic-export-{name}.lock")


def _clear(out: Path) -> None:
    """Put things right after an export that was killed. The lock says that no other export is running."""
    beside = [path for path in out.parent.iterdir() if path.name.startswith(f".{out.name}.")]
    for path in beside:
        if path.name.endswith(_OLD):
            if not out.exists() and (path / out.name).exists():
                (path / out.name).rename(out)
            shutil.rmtree(path)
        elif path.name.endswith(PARTIAL):
            shutil.rmtree(path)


def _replace(out: Path, partial: Path) -> None:
    """Put the new folder where the old one was. If that fails, the old one is there again."""
    if not out.exists():
        partial.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=_OLD, dir=out.parent)) / out.name
    try:
        out.rename(old)
        try:
            partial.rename(out)
        except OSError:
            old.rename(out)
            raise
    except OSError:
        if not old.exists():
            old.parent.rmdir()
        raise
    shutil.rmtree(old.parent)
