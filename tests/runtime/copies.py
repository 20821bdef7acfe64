"""Copies of a bundle that a test may change."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elic_runtime.manifest_file import MANIFEST_NAME, seal


def linked(path: Path, target: Path) -> Path:
    """A copy by hard links, since a bundle is 190 MB. Its manifest may be edited; other files are to be replaced."""

    def link(source: str, destination: str) -> str:
        os.link(source, destination)
        return destination

    shutil.copytree(path, target, copy_function=link)
    content = (target / MANIFEST_NAME).read_bytes()
    (target / MANIFEST_NAME).unlink()
    (target / MANIFEST_NAME).write_bytes(content)
    return target


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the fields of a bundle's manifest, and seal it again."""
    path = folder / MANIFEST_NAME
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(seal(content)))
    return folder


def replace(path: Path, data: bytes) -> None:
    """Replace a file that may be a hard link."""
    path.unlink()
    path.write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files in a folder, by relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
