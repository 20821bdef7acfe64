"""Verify on the device, with numpy alone, that a runner computes what PyTorch computes from known photographs.

`verify.npz` of a bundle contains three small photographs, which are mirrored until they fill the bundle's shape, and
what PyTorch computed from them: y and z, x_hat of a known y_hat, and one whole file with its picture. Of large outputs
it has every n-th row. `elic-export compile` verifies in the same way what it compiled.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, computed_field

from elic_runtime.bundle import Bundle
from elic_runtime.codec import Codec
from elic_runtime.entries import GraphPrecision, Interface, VerifyInfo
from elic_runtime.errors import BundleError, DesyncError
from elic_runtime.metrics import psnr
from elic_runtime.pixels import Image, to_input
from elic_runtime.runners import Arrays, Runner, RunnerFactory, describe_backend, load_runner
from elic_runtime.shapes import LATENT_STRIDE, MAX_PIXELS, Extent, Record, Shape
from elic_runtime.subgraphs import decides_symbols
from elic_runtime.tables import check_size
from elic_runtime.transforms import load_analysis, load_synthesis

PHOTOGRAPHS = 3
"""How many photographs a bundle is verified with."""

OUTPUTS = ("y", "z", "x_hat")
"""The outputs that are known."""

SCATTER_BYTES = 10_000
"""Size of the three files together below which a single symbol weighs more.

Where a symbol falls between two integers a hair decides, which moves a file of 1 kB by a few percent and 0.3 dB either
way. For files of n bytes, fewer than this, the limits of the codec's rate and PSNR are multiplied by SCATTER_BYTES / n.
"""

TYPICAL = 256
"""Height and width in pixels at which graphs of open shapes are verified, if their range includes it."""

Floats = NDArray[np.float32]


class Result(Record):
    """A record that also stores what follows from its fields, which is not read again."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Check(Result):
    """The answer to one question.

    Parameters
    ----------
    question : str
        What was measured.
    measured : float
        The worst result.
    limit : float, optional
        The largest accepted one; None if the question is not judged at this precision.

    """

    question: str
    measured: float
    limit: float | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether the result is accepted. A NaN is not."""
        return self.limit is None or self.measured <= self.limit


class RunnerResult(Result):
    """What one runner computed.

    Parameters
    ----------
    runner : str
        Name of the backend.
    precision : {"fp32", "fp16", "int8"}
        Whose limits it was judged by.
    checks : tuple of Check
        The answers.
    seconds : dict of str to float
        Median time of each transform.
    load_seconds : float
        Time to load both halves.

    """

    runner: str
    precision: GraphPrecision
    checks: tuple[Check, ...]
    seconds: dict[str, float]
    load_seconds: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether all results are accepted."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Known:
    """The content of `verify.npz`.

    Parameters
    ----------
    photographs : list of ndarray
        uint8 [h, w, 3].
    y_hats : list of ndarray
        float32 [M, h/16, w/16].
    outputs : dict of str to list of ndarray
        What PyTorch computed: rows of y, z and x_hat of each photograph, [C, H/n, W].
    every : dict of str to int
        n, by output.
    file : bytes
        The first photograph, compressed by the exporter with PyTorch's transforms; empty in float arithmetic.
    psnr_db : list of float
        PSNR of each photograph's picture by PyTorch's transforms.
    sizes : list of int
        Bytes of each photograph's file.

    """

    photographs: list[Image]
    y_hats: list[Floats]
    outputs: dict[str, list[Floats]]
    every: dict[str, int]
    file: bytes
    psnr_db: list[float]
    sizes: list[int]


def shape_to_verify(extent: Extent) -> Shape:
    """Return the shape of x at which a bundle is verified: `TYPICAL`, or the nearest in the range."""
    height, width = (
        min(max(TYPICAL, low), high)
        for low, high in ((extent.min.height, extent.max.height), (extent.min.width, extent.max.width))
    )
    return Shape(height=height, width=width)


def mirrored(patch: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Fill an area with a patch and its mirror images.

    Parameters
    ----------
    patch : ndarray
        [C, h, w].
    height, width : int
        Size of the area.

    Returns
    -------
    ndarray
        [C, height, width], of the patch's type.

    """
    rows, columns = (
        np.minimum(at % (2 * size), 2 * size - 1 - at % (2 * size))
        for at, size in ((np.arange(height), patch.shape[1]), (np.arange(width), patch.shape[2]))
    )
    return np.ascontiguousarray(patch[:, rows][:, :, columns])


def image_to_verify(photograph: Image, shape: Shape) -> Image:
    """Return a photograph, mirrored to a shape: uint8 [H, W, 3]."""
    filled = mirrored(photograph.transpose(2, 0, 1), shape.height, shape.width)
    return np.ascontiguousarray(filled.transpose(1, 2, 0))


def y_hat_to_verify(y_hat: Floats, shape: Shape) -> Floats:
    """Return a known y_hat, mirrored to the shape of an image: float32 [1, M, H/16, W/16]."""
    return mirrored(y_hat, shape.height // LATENT_STRIDE, shape.width // LATENT_STRIDE)[None]


def verify(contestants: Sequence[tuple[Bundle, RunnerFactory, GraphPrecision]]) -> list[RunnerResult]:
    """Run the known photographs with one or more runners in turns, and compare the results with PyTorch's.

    Parameters
    ----------
    contestants : sequence of tuple
        A bundle, opened for what its factory runs; the factory; and the precision of its transforms, which selects the
        limits. One half of the transforms may be missing; that half's questions are then left out.

    Returns
    -------
    list of RunnerResult
        What each of them computed.

    Raises
    ------
    BundleError
        If a bundle has no `verify.npz`, or a subgraph cannot be run.
    ConformanceError
        If the backend of the subgraphs that decide symbols is not exact.

    """
    verifications = [_Verification(bundle, factory) for bundle, factory, _ in contestants]
    try:
        for i in range(PHOTOGRAPHS):
            for verification in verifications:
                verification.transform(i)
        for verification in verifications:
            verification.code()
        return [v.result(precision) for v, (_, _, precision) in zip(verifications, contestants, strict=True)]
    finally:
        for verification in verifications:
            verification.close()


class _Verification:
    """The known photographs, run by one runner; the worst answer to each question so far."""

    def __init__(self, bundle: Bundle, factory: RunnerFactory) -> None:
        self._bundle, self._info = bundle, _verify_info(bundle)
        self._known = read_known(bundle.file(self._info))
        self._shape = shape_to_verify(bundle.manifest.encoder)
        self._batch = bundle.manifest.batch.min
        self._watch = _Stopwatch(factory)
        self._worst: dict[str, float] = {}

        def load(name: str) -> Runner:
            return load_runner(bundle, self._watch, name)

        encodes = bundle.has("g_a_h_a") or (bundle.has("g_a") and bundle.has("h_a"))
        decodes = bundle.has("g_s") or (bundle.has("g_s_0") and bundle.has("g_s_1"))
        if not encodes and not decodes:
            raise BundleError(f"{bundle.folder}: its transforms are not here")
        start = time.perf_counter()
        try:
            self._analyse = load_analysis(bundle, load) if encodes else None
            self._synthesise = load_synthesis(bundle, load) if decodes else None
            self._codec = Codec(bundle, self._watch, encode=encodes, decode=decodes, max_pixels=MAX_PIXELS)
        except BaseException:
            self.close()
            raise
        self._load_seconds = time.perf_counter() - start

    def transform(self, i: int) -> None:
        """Run the transforms that are here on photograph i."""
        known = self._known
        if self._analyse is not None:
            y, z = self._analyse(self._filled(to_input(image_to_verify(known.photographs[i], self._shape))))
            for name, found in (("y", y), ("z", z)):
                expected, rows = known.outputs[name][i], self._rows(name, found)
                self._note(f"{name}: error over its range", _relative(expected, rows))
            changed = np.rint(known.outputs["y"][i]) != np.rint(self._rows("y", y))
            self._note("y: share of roundings changed", float(changed.mean()))
        if self._synthesise is not None:
            x_hat = self._synthesise(self._filled(y_hat_to_verify(known.y_hats[i], self._shape)))
            error = self._rows("x_hat", x_hat).astype(np.float64) - known.outputs["x_hat"][i]
            self._note("x_hat: largest error, 8-bit steps", 255 * float(np.abs(error).max()))
            self._note("x_hat: RMS error, 8-bit steps", 255 * float(np.sqrt((error**2).mean())))

    def code(self) -> None:
        """Decode the known file, and code the photographs."""
        known = self._known
        images = [image_to_verify(photograph, self._shape) for photograph in known.photographs]
        if self._synthesise is not None and known.file:
            try:
                picture = self._codec.decompress(known.file)
            except DesyncError:
                self._note("file: symbols that differ, at least", 1)
            else:
                self._note("file: symbols that differ, at least", 0)
                self._note("file: PSNR lost, dB", known.psnr_db[0] - psnr(images[0], picture))
        if self._analyse is not None:
            coded = [self._codec.compress(image) for image in images]
            self._note("codec: bytes more", sum(map(len, coded)) / sum(known.sizes) - 1)
            if self._synthesise is not None:
                found = [psnr(i, self._codec.decompress(data)) for i, data in zip(images, coded, strict=True)]
                self._note("codec: mean PSNR lost, dB", fmean(known.psnr_db) - fmean(found))

    def result(self, precision: GraphPrecision) -> RunnerResult:
        """Return the answers, judged by the limits of a precision."""
        limits = self._info.limits.get(precision, {})
        scatter = max(1.0, SCATTER_BYTES / sum(self._known.sizes))
        checks = (
            Check(question=q, measured=m, limit=limits[q] * (scatter if "codec" in q else 1) if q in limits else None)
            for q, m in self._worst.items()
        )
        transforms = {name: times for name, times in self._watch.seconds.items() if times and not decides_symbols(name)}
        return RunnerResult(
            runner=describe_backend(self._watch.factory),
            precision=precision,
            checks=tuple(checks),
            seconds={name: median(times[:PHOTOGRAPHS]) for name, times in transforms.items()},
            load_seconds=self._load_seconds,
        )

    def close(self) -> None:
        """Release what the runners hold."""
        self._watch.close()

    def _filled(self, values: Floats) -> Floats:
        return np.repeat(values, self._batch, axis=0)

    def _rows(self, name: str, found: Floats) -> Floats:
        """Return the rows of an output that are known, [C, H/n, W]."""
        return found[0, :, :: self._known.every[name]]

    def _note(self, question: str, measured: float) -> None:
        known = self._worst.get(question, measured)
        self._worst[question] = measured if math.isnan(measured) or measured > known else known


class _Stopwatch:
    """A factory that loads each subgraph once, and times its runs."""

    def __init__(self, factory: RunnerFactory) -> None:
        self.factory = factory
        self.seconds: dict[str, list[float]] = {}
        self._runners: dict[str, Runner] = {}

    def __call__(self, name: str, graph: Path, info: Interface) -> Runner:
        if name not in self._runners:
            self._runners[name] = self.factory(name, graph, info)
        runner, times = self._runners[name], self.seconds.setdefault(name, [])

        def run(inputs: Arrays) -> Arrays:
            start = time.perf_counter()
            outputs = runner(inputs)
            times.append(time.perf_counter() - start)
            return outputs

        return run

    def __str__(self) -> str:
        return describe_backend(self.factory)

    def close(self) -> None:
        """Close the runners that can be closed."""
        for runner in self._runners.values():
            close = getattr(runner, "close", None)
            if close is not None:
                close()


def _verify_info(bundle: Bundle) -> VerifyInfo:
    info = bundle.manifest.verify
    if info is None:
        raise BundleError(f"{bundle.folder}: nothing to verify with: only codecs have it, since format version 5")
    return info


def _relative(expected: Floats, found: Floats) -> float:
    """Return the largest error as a share of the range of the expected values."""
    return float(np.abs(found.astype(np.float64) - expected).max() / np.ptp(expected.astype(np.float64)))


def write_known(path: Path, known: Known) -> None:
    """Write `verify.npz`."""
    arrays: dict[str, Any] = {
        "coded": np.frombuffer(known.file, np.uint8),
        "psnr_db": np.array(known.psnr_db, np.float64),
        "sizes": np.array(known.sizes, np.int64),
    }
    for i in range(PHOTOGRAPHS):
        arrays |= {f"photograph_{i}": known.photographs[i], f"y_hat_{i}": known.y_hats[i]}
        arrays |= {f"{name}_{i}": values[i] for name, values in known.outputs.items()}
    arrays |= {f"every_{name}": np.int64(n) for name, n in known.every.items()}
    np.savez_compressed(path, **arrays)


def read_known(path: Path) -> Known:
    """Read `verify.npz`.

    Parameters
    ----------
    path : Path
        The file, whose digest was checked.

    Raises
    ------
    BundleError
        If it is not what an exporter wrote.

    """
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Known(
            photographs=[arrays[f"photograph_{i}"] for i in range(PHOTOGRAPHS)],
            y_hats=[arrays[f"y_hat_{i}"] for i in range(PHOTOGRAPHS)],
            outputs={name: [arrays[f"{name}_{i}"] for i in range(PHOTOGRAPHS)] for name in OUTPUTS},
            every={name: int(arrays[f"every_{name}"]) for name in OUTPUTS},
            file=arrays["coded"].tobytes(),
            psnr_db=arrays["psnr_db"].tolist(),
            sizes=arrays["sizes"].tolist(),
        )
    except BundleError:
        raise
    except Exception as error:  # each layer of a damaged zip archive of arrays raises exceptions of its own
        raise BundleError(f"{path}: not a known photograph: {' '.join(str(error).split())}") from None
