"""Folders of images and of `.elic` files: which files are meant, and which are left out."""

from collections.abc import Callable
from pathlib import Path

from elic_runtime.container import SUFFIX
from elic_runtime.errors import ImageError
from elic_runtime.images.formats import readable

_NAMED = 4
"""How many of the files that are left out are named."""

Say = Callable[[str], None]


def image_files(path: Path, say: Say | None = None) -> list[Path]:
    """The file itself, or the images of a folder in order.

    say: is told in one line what of the folder is left out. Raises ImageError if there is no image.
    """
    return _files(path, readable(), "images", say)


def container_files(path: Path, say: Say | None = None) -> list[Path]:
    """The file itself, or the `.elic` files of a folder in order.

    say: is told in one line what of the folder is left out. Raises ImageError if there is none.
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
        say(f"{path}: left out, as no {what}: {', '.join(others[:_NAMED])}{more}")
    return found
