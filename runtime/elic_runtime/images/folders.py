"""Listing the images or the `.elic` files of a folder."""

from collections.abc import Callable
from pathlib import Path

from elic_runtime.container import SUFFIX
from elic_runtime.errors import ImageError
from elic_runtime.images.formats import readable

_NAMED = 4
"""How many of the files that are left out are named in a message."""

Say = Callable[[str], None]
"""Gets a message of one line."""


def image_files(path: Path, say: Say | None = None) -> list[Path]:
    """List the images of a folder, sorted by name; a file is returned as it is.

    Parameters
    ----------
    path : Path
        A folder or a file.
    say : callable, optional
        Called with a message that names the files that are left out, if there are any.

    Raises
    ------
    ImageError
        If the folder contains no image.

    """
    return _files(path, readable(), "images", say)


def container_files(path: Path, say: Say | None = None) -> list[Path]:
    """List the `.elic` files of a folder, sorted by name; a file is returned as it is.

    Parameters
    ----------
    path : Path
        A folder or a file.
    say : callable, optional
        Called with a message that names the files that are left out, if there are any.

    Raises
    ------
    ImageError
        If the folder contains no `.elic` file.

    """
    return _files(path, (SUFFIX,), f"{SUFFIX} files", say)


def _files(path: Path, suffixes: tuple[str, ...], what: str, say: Say | None) -> list[Path]:
    if not path.is_dir():
        return [path]
    visible = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    found = [p for p in visible if p.suffix.lower() in suffixes and p.is_file()]
    if not found:
        raise ImageError(f"{path}: no {what} in this folder")
    others = [f"{p.name}/" if p.is_dir() else p.name for p in visible if p not in set(found)]
    if others and say is not None:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        say(f"{path}: left out, since they are not {what}: {', '.join(others[:_NAMED])}{more}")
    return found
