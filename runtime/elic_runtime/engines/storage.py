"""Files that are on this machine or a shared file system (paths), or anywhere that fsspec reaches (URLs).

A URL, such as `s3://bucket/photographs`, is read with the package that fsspec names for its protocol, which finds its
credentials in its usual place; every worker needs both. A bundle at a URL is copied once to each machine.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from elic_runtime.errors import ElicError, ImageError
from elic_runtime.files import write_bytes
from elic_runtime.images import image_files
from elic_runtime.images.formats import readable
from elic_runtime.manifest_file import MANIFEST_NAME

_MARK = "://"

CACHE_VARIABLE = "XDG_CACHE_HOME"
"""Names the folder of caches, where it is not `~/.cache`."""


class StorageError(ElicError):
    """Raised if a URL cannot be read or written."""


@dataclass(frozen=True, order=True)
class Url:
    """A file or a folder that fsspec reaches, with those names of `Path` that folders of photographs need.

    Parameters
    ----------
    text : str
        The URL.

    """

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.text.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.text).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.text).stem

    @property
    def suffix(self) -> str:
        """The last suffix of the name, with its dot."""
        return PurePosixPath(self.text).suffix

    def is_dir(self) -> bool:
        """Return whether it is a folder: of an object store, whether objects have names that begin so."""
        with self._opened() as (system, path):
            return bool(system.isdir(path))

    def is_file(self) -> bool:
        """Return whether it is a file."""
        with self._opened() as (system, path):
            return bool(system.isfile(path))

    def exists(self) -> bool:
        """Return whether it is anything."""
        with self._opened() as (system, path):
            return bool(system.exists(path))

    def iterdir(self) -> Iterator["Url"]:
        """Yield the files of a folder; not its folders."""
        with self._opened() as (system, path):
            entries = system.ls(path, detail=True)
        for entry in entries:
            if entry["type"] == "file":
                yield self / PurePosixPath(entry["name"]).name

    def modified(self) -> float | None:
        """Return when it was last changed, in seconds since the epoch, or None if its file system does not say."""
        with self._opened() as (system, path):
            try:
                return cast("float", system.modified(path).timestamp())
            except NotImplementedError:
                return None

    def read_bytes(self) -> bytes:
        """Read all of it."""
        with self._opened() as (system, path):
            return cast("bytes", system.cat_file(path))

    def write_bytes(self, data: bytes) -> None:
        """Write it whole or not at all, as far as its file system can."""
        with self._opened() as (system, path), system.transaction:
            try:
                system.pipe_file(path, data)
            except FileNotFoundError:  # of the folder: object stores need none
                system.makedirs(system._parent(path), exist_ok=True)
                system.pipe_file(path, data)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        """Give the file system and the path on it. Raises StorageError for whatever goes wrong in the block."""
        try:
            system, path = _fsspec().core.url_to_fs(self.text)
            yield system, path
        except ElicError:
            raise
        except Exception as error:  # each file system has its own
            reason = " ".join(str(error).split())
            kind = "not found" if isinstance(error, FileNotFoundError) else reason or type(error).__name__
            raise StorageError(f"{self}: {kind}") from None


Place = Path | Url


def place(location: str | os.PathLike[str]) -> Place:
    """Return what a text names: a URL as `Url`, except one of this machine's files, and all else as `Path`."""
    text = os.fspath(location)
    if _MARK not in text:
        return Path(text)
    parts = urlsplit(text)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else Url(text)


def images_in(source: Place, say: Callable[[str], None] | None = None) -> list[Place]:
    """List the images of a folder, as `elic_runtime.images.image_files`; a file is returned as it is.

    Parameters
    ----------
    source : Path or Url
        A folder or a file.
    say : callable, optional
        As `image_files` takes it; nothing is said of a URL.

    Raises
    ------
    ImageError
        If the folder contains no image.
    StorageError
        If a URL cannot be read.

    """
    if isinstance(source, Path):
        return list(image_files(source, say))
    if not source.is_dir():
        return [source]
    found = sorted(url for url in source.iterdir() if url.suffix.lower() in readable())
    if not found:
        raise ImageError(f"{source}: no images in this folder")
    return list(found)


def write_whole(target: Place, data: bytes) -> None:
    """Write a file whole or not at all. Raises OSError or StorageError."""
    if isinstance(target, Path):
        write_bytes(target, data)
    else:
        target.write_bytes(data)


def modified(source: Place) -> float | None:
    """Return when a file was last changed, in seconds since the epoch, or None if nothing says.

    Parameters
    ----------
    source : Path or Url
        The file.

    Raises
    ------
    OSError, StorageError
        If it cannot be read.

    """
    return source.stat().st_mtime if isinstance(source, Path) else source.modified()


def local_bundle(location: str) -> Path:
    """Return the folder of a bundle on this machine.

    Parameters
    ----------
    location : str
        A path, which is returned as it is, or a URL, also one of `file://`. The bundle there is copied into a cache,
        under the digest of its manifest, which holds those of its files; one that is there already is not read again.

    Raises
    ------
    StorageError
        If the URL cannot be read.
    OSError
        If the copy cannot be written.

    """
    if _MARK not in location:
        return Path(location)
    manifest = (Url(location) / MANIFEST_NAME).read_bytes()
    home = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache")
    folder = home / "elic-deploy" / "bundles" / hashlib.sha256(manifest).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    with FileLock(f"{folder}.lock"):  # of several workers, one copies
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _copy(Url(location), unfinished)
            unfinished.rename(folder)
    return folder


def _copy(source: Url, target: Path) -> None:
    """Copy a folder with all that is in it."""
    with source._opened() as (system, root):
        files, above = system.find(root), f"{root.rstrip('/')}/"
        names = [PurePosixPath(file.removeprefix(above)) for file in files]
        if any(name.is_absolute() or ".." in name.parts for name in names):
            raise StorageError(f"{source}: names a file outside of it")
        for folder in {(target / name).parent for name in names}:
            folder.mkdir(parents=True, exist_ok=True)
        system.get(files, [str(target / name) for name in names])


def _fsspec() -> Any:
    try:
        import_module("filelock")  # comes with the same extra
        return import_module("fsspec")
    except ModuleNotFoundError as error:
        raise StorageError(f"URLs need the package {error.name}: pip install 'elic-deploy[ray]'") from None
