"""What the commands do with each file. Calling a job loads its codec, and returns what runs a pair of files.

A job is data, so that it can travel to another process and load the codec there: see `elic_runtime/engines`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elic_runtime.codec import Box, Codec
from elic_runtime.commands.jobs import Facts, Pair, coding_facts
from elic_runtime.commands.streams import STREAM, name_of, read_input, write_output
from elic_runtime.engines.storage import Place, Url, local_bundle, modified
from elic_runtime.errors import ContainerError
from elic_runtime.file_coding import (
    CodedFile,
    ContainerInfo,
    compress_photograph,
    decompress_data,
    read_info,
    thumbnail_data,
)
from elic_runtime.images import WRITABLE, Photograph, decode_photograph, read_photograph
from elic_runtime.images.resizing import resize
from elic_runtime.progress import Progress
from elic_runtime.rates import Target
from elic_runtime.runners import ONNXRUNTIME
from elic_runtime.subgraphs import PASSES
from elic_runtime.windows import DEFAULT_HALO

RunPair = Callable[..., Facts]
"""Takes a pair of files, and `progress` if one wants to see it; returns the facts of the result."""


@dataclass(frozen=True)
class CompressJob:
    """Compresses photographs.

    Parameters
    ----------
    bundle : str
        Folder or URL of the bundle.
    rate : float or Target
        A step, or what to choose the step for.
    keep : frozenset of str
        Which of the photograph's metadata the file keeps.
    tiles : bool
        Whether to code in tiles of their own.
    runner, threads, halo
        As `Codec.load` takes them.
    resize : tuple of int, optional
        Height and width in pixels to which every photograph is resized first.
    resume : bool
        Whether to leave a file as it is that an earlier run has written.

    """

    bundle: str
    rate: float | Target = 1.0
    keep: frozenset[str] = frozenset({"icc"})
    tiles: bool = False
    runner: str = ONNXRUNTIME
    threads: int = 0
    halo: int = DEFAULT_HALO
    resize: tuple[int, int] | None = None
    resume: bool = False

    def __call__(self) -> RunPair:
        """Load the codec. Raises ElicError."""
        decode = isinstance(self.rate, Target) and self.rate.quantity == "psnr"
        folder = local_bundle(self.bundle)
        codec = Codec.load(folder, decode=decode, runner=self.runner, threads=self.threads, halo=self.halo)
        return functools.partial(self._run, codec)

    def _run(self, codec: Codec, pair: Pair, progress: Progress | None = None) -> Facts:
        source, target = pair
        if self.resume and (info := self._written(codec, source, target)) is not None:
            return coding_facts(source, target, _coded(info)) | {"converted_from": None, "kept": True}
        photograph = _photograph(source)
        if self.resize is not None:
            photograph = replace(photograph, pixels=resize(photograph.pixels, *self.resize))
        data, coded = compress_photograph(
            codec, photograph, self.rate, keep=self.keep, tiles=self.tiles, progress=progress
        )
        write_output(target, data)
        return coding_facts(source, target, coded) | {"converted_from": coded.converted_from, "kept": False}

    def _written(self, codec: Codec, source: Place, target: Place) -> ContainerInfo | None:
        """Return the facts of the target if it is whole, of this bundle and step, and not older than the photograph."""
        if STREAM in (source, target) or not target.is_file() or _older(target, source):
            return None
        try:
            info = read_info(target.read_bytes())
        except ContainerError:
            return None
        same = codec.bundle.manifest.fingerprint.startswith(info.fingerprint)
        same &= self.resize in (None, (info.height, info.width))
        return info if same and (isinstance(self.rate, Target) or self.rate == info.step) else None


@dataclass(frozen=True)
class DecompressJob:
    """Decompresses files.

    Parameters
    ----------
    bundle : Path
        Folder of the bundle.
    region, slices, partial
        As `Codec.decompress` takes them.
    runner, threads, halo
        As `Codec.load` takes them.

    """

    bundle: Path
    region: Box | None = None
    slices: int | None = None
    partial: bool = False
    runner: str = ONNXRUNTIME
    threads: int = 0
    halo: int = DEFAULT_HALO

    def __call__(self) -> RunPair:
        """Load the codec. Raises ElicError."""
        codec = Codec.load(self.bundle, encode=False, runner=self.runner, threads=self.threads, halo=self.halo)
        return functools.partial(self._run, codec)

    def _run(self, codec: Codec, pair: Pair, progress: Progress | None = None) -> Facts:
        source, target = pair
        options: dict[str, Any] = {"region": self.region, "slices": self.slices, "partial": self.partial}
        data, coded = decompress_data(codec, read_input(source), _suffix(target), progress=progress, **options)
        write_output(target, data)
        return coding_facts(source, target, coded)


@dataclass(frozen=True)
class ThumbnailJob:
    """Decompresses small versions of files.

    Parameters
    ----------
    bundle : Path
        Folder of the bundle.
    scale, partial
        As `Codec.thumbnail` takes them.
    threads : int
        As `Codec.load` takes it.

    """

    bundle: Path
    scale: int
    partial: bool = False
    threads: int = 0

    def __call__(self) -> RunPair:
        """Load the codec. Raises ElicError."""
        return functools.partial(self._run, Codec.load(self.bundle, encode=False, decode=False, threads=self.threads))

    def _run(self, codec: Codec, pair: Pair, progress: Progress | None = None) -> Facts:
        """Make one; it has no windows whose progress could be shown."""
        del progress
        source, target = pair
        data, coded = thumbnail_data(codec, read_input(source), _suffix(target), self.scale, partial=self.partial)
        write_output(target, data)
        return coding_facts(source, target, coded)


def _suffix(target: Place) -> str:
    return target.suffix or WRITABLE[0]


def _photograph(source: Place) -> Photograph:
    if isinstance(source, Url) or source == STREAM:
        return decode_photograph(read_input(source), name_of(source), keep_profile=True)
    return read_photograph(source, keep_profile=True)


def _older(target: Place, source: Place) -> bool:
    """Return whether a file was changed before another; a file system that does not say is not doubted."""
    changed, needed = modified(target), modified(source)
    return changed is not None and needed is not None and changed < needed


def _coded(info: ContainerInfo) -> CodedFile:
    """Return the facts of a file that is there already as those of one that took no time."""
    passes = info.grid.tiles * len(PASSES) * len(info.slice_bytes)
    return CodedFile(info.width, info.height, info.width * info.height, info.size, 0.0, info.step, passes, passes)
