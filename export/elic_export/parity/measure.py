"""Measure the parity of a bundle with PyTorch.

Subgraphs, passes and streams are compared on PyTorch's own inputs, so that one difference is counted once. Files and
pictures are compared end to end. `judge.py` compares the results with the thresholds.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.coder import make_coder
from elic_runtime.container_reading import parse
from elic_runtime.context import ContextModel, Floats, Symbols
from elic_runtime.entries import Interface, Precision, graph_precision
from elic_runtime.images import read_image
from elic_runtime.metrics import bits, psnr
from elic_runtime.pixels import Image, to_image, to_input
from elic_runtime.runners import Arrays, Runner, RunnerFactory, describe_backend, load_runner, onnxruntime_factory
from elic_runtime.subgraphs import H_S, NO_ENTROPY, NONANCHOR, pass_name
from elic_runtime.tiles import TileGrid
from numpy.typing import NDArray

from elic_export.errors import ExportError
from elic_export.exact.deployment import Deployment, fingerprint
from elic_export.metrics import TensorError, code_length, correlation, max_steps
from elic_export.parity.backends import backends
from elic_export.parity.fp16_emulation import emulated_half
from elic_export.parity.judge import judge, judge_end_to_end
from elic_export.parity.reference import PassReference, TileReference, WalkReference, record_end_to_end, record_tile
from elic_export.parity.report import (
    BackendResult,
    EndToEndResult,
    Finding,
    ImageResult,
    LayerResult,
    PassResult,
    Report,
    SubgraphResult,
)
from elic_export.thresholds import Thresholds

Progress = Callable[[Iterable[Path]], Iterable[Path]]
"""Shows progress by wrapping the photographs that a measurement iterates over."""

Errors = dict[tuple[str, str], TensorError]
"""Errors by subgraph and output."""


def measure(
    deployment: Deployment,
    bundle: Bundle,
    images: list[Path],
    thresholds: Thresholds,
    progress: Progress = iter,
) -> Report:
    """Compare a bundle with the checkpoint that it was exported from.

    Parameters
    ----------
    deployment : Deployment
        That checkpoint, in the bundle's arithmetic.
    bundle : Bundle
        The bundle.
    images : list of Path
        Photographs. Both sides code them in the bundle's tiles.
    thresholds : Thresholds
        The largest accepted errors.
    progress : callable, optional
        Shows progress by wrapping the photographs.

    Returns
    -------
    Report
        What was measured, and the verdicts.

    Raises
    ------
    ExportError
        If the deployment has another fingerprint than the bundle.
    ImageError, BundleError
        If a photograph or the bundle cannot be read.
    ConformanceError
        If ONNX Runtime does not compute the bundle's exact subgraphs exactly on this machine.
    DesyncError
        If a file does not decode to the symbols that were encoded.

    """
    manifest = bundle.manifest
    if fingerprint(deployment) != manifest.fingerprint:
        raise ExportError(
            f"{bundle.folder}: this model quantizes to other integers than those exported; export the bundle again"
        )
    if manifest.form == "no-entropy":
        errors: Errors = {}
        end_to_end = _measure_end_to_end(deployment, bundle, images, errors, progress)
        findings = judge_end_to_end(thresholds, end_to_end)
        subgraphs = _subgraph_results(errors, manifest.precision)
        return _report(bundle, deployment, findings, subgraphs, end_to_end=end_to_end)
    parity = _Parity(deployment, bundle)
    results = [parity.image(path) for path in progress(images)]
    subgraphs = _subgraph_results(parity.errors, manifest.precision)
    passes = list(parity.passes.values())
    findings = judge(thresholds, subgraphs, passes, results, parity.streams_differing, parity.exactness)
    return _report(
        bundle,
        deployment,
        findings,
        subgraphs,
        passes=passes,
        images=results,
        exactness=parity.exactness,
        streams_compared=parity.streams_compared,
        streams_differing=parity.streams_differing,
    )


class _Loaded:
    """A runner factory that returns runners which are loaded already."""

    def __init__(self, factory: RunnerFactory, runners: dict[str, Runner]) -> None:
        self._factory = factory
        self._runners = runners

    def __str__(self) -> str:
        return describe_backend(self._factory)

    def __call__(self, name: str, _graph: Path, _info: Interface) -> Runner:
        return self._runners[name]


class _Parity:
    """Measures a codec's bundle, and accumulates the results over images and tiles."""

    def __init__(self, deployment: Deployment, bundle: Bundle) -> None:
        self.deployment = deployment
        self.manifest = bundle.manifest
        factory = onnxruntime_factory()
        loaded = _Loaded(
            factory,
            {name: factory(name, bundle.graph_path(name), info) for name, info in bundle.manifest.subgraphs.items()},
        )
        self.runners = {name: load_runner(bundle, loaded, name, finite=False) for name in bundle.manifest.subgraphs}
        self.codec = Codec.load(bundle.folder, runner=loaded)
        self.half_codec = None
        if self.manifest.precision in ("fp16", "mixed"):
            emulated = emulated_half(deployment, loaded, mixed=self.manifest.precision == "mixed")
            self.half_codec = Codec.load(bundle.folder, runner=emulated)
        cuts = [info.cut_after for info in bundle.manifest.subgraphs.values() if info.cut_after]
        self.cut_after = cuts[0] if cuts else None
        self.tables = bundle.tables()
        self.coder = make_coder()
        self.errors: Errors = {}
        self.passes: dict[tuple[int, int], PassResult] = {}
        self.backends = backends(bundle, deployment) if self.manifest.arithmetic == "exact" else {}
        self.exactness = [BackendResult(backend=name) for name in self.backends]
        self.streams_compared = 0
        self.streams_differing = 0

    def image(self, path: Path) -> ImageResult:
        image = read_image(path)
        grid = TileGrid.within(image.shape[0], image.shape[1], self.manifest.encoder)
        tiles = [
            record_tile(self.deployment, torch.from_numpy(to_input(tile)), self.cut_after) for tile in grid.cut(image)
        ]
        x_hats = []
        for tile in tiles:
            outputs = self._graphs(tile)
            for reference in tile.walk.passes:
                self._pass(reference, outputs)
            self._streams(tile)
            for result in self.exactness:
                self._exactness(result, tile.walk)
            x_hats.append(outputs["g_s"]["x_hat"])
        return self._end_to_end(path.name, image, grid, tiles, x_hats)

    def _graphs(self, tile: TileReference) -> dict[str, Arrays]:
        """Run every subgraph on PyTorch's inputs, repeated to fill its batch, and add up the errors of its outputs."""
        outputs: dict[str, Arrays] = {}
        for name, runner in self.runners.items():
            found = runner({tensor: self._batch(value) for tensor, value in tile.cases[name].inputs.items()})
            for tensor, expected in tile.cases[name].outputs.items():
                self.errors.setdefault((name, tensor), TensorError()).add(self._batch(expected), found[tensor])
            outputs[name] = {tensor: value[:1] for tensor, value in found.items()}
        return outputs

    def _batch(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, self.manifest.batch.min, axis=0)

    def _pass(self, reference: PassReference, outputs: dict[str, Arrays]) -> None:
        """Compare the scale indexes and symbols that follow from a graph's means and scales with PyTorch's."""
        k, last = reference.k, reference.half == NONANCHOR
        found = outputs[pass_name(k, reference.half)]
        indexes = self.tables.scale_indexes(found["scales"])
        symbols = np.rint(reference.y - found["means"]).astype(np.int32)
        result = self.passes.setdefault(
            (k, reference.half), PassResult(slice=k, half="nonanchor" if last else "anchor")
        )
        result.symbols += symbols.size
        result.differing_indexes += int((indexes != reference.indexes).sum())
        result.differing_symbols += int((symbols != reference.symbols).sum())

    def _exactness(self, result: BackendResult, walk: WalkReference) -> None:
        """Count the indexes and means that a backend, on the y_hat that it decodes, computes otherwise than PyTorch."""
        medians = self.tables.medians[None, :, None, None]
        runners, passes = self.backends[result.backend], iter(walk.passes)

        def code(_k: int, _half: int, means: Floats, scales: Floats) -> Symbols:
            reference = next(passes)
            differs = (self.tables.scale_indexes(scales) != reference.indexes) | (means != reference.means)
            result.symbols += differs.size
            result.differing += int(differs.sum())
            return self._batch(reference.symbols)

        latents = runners[H_S]({"z_hat": self._batch(walk.z_symbols.astype(np.float32) + medians)})
        context = ContextModel(self.manifest.model, runners.__getitem__)
        context.walk(dict(latents), code)

    def _streams(self, tile: TileReference) -> None:
        """Code PyTorch's symbols and indexes with the bundle's tables, and compare the bytes with CompressAI's."""
        walk = tile.float_walk
        coded = [(walk.z_symbols, _channels(walk.z_symbols), self.tables.z, tile.z_stream)]
        coded += [
            (p.symbols, p.indexes.astype(np.uint16), self.tables.y, stream)
            for p, stream in zip(walk.passes, tile.streams, strict=True)
        ]
        for symbols, indexes, tables, stream in coded:
            self.streams_compared += 1
            found = self.coder.encode(symbols.ravel(), indexes.ravel(), tables)
            self.streams_differing += found != stream

    def _end_to_end(
        self, name: str, image: Image, grid: TileGrid, tiles: list[TileReference], x_hats: list[NDArray[np.float32]]
    ) -> ImageResult:
        """Compare a file and its picture with PyTorch's streams and picture."""
        data = self.codec.compress(image, tiles=True)
        decoded = self.codec.decompress(data)
        half = self.half_codec.compress(image, tiles=True) if self.half_codec else None
        half_decoded = self.half_codec.decompress(half) if self.half_codec and half else None
        sections = [section for tile in parse(data).tiles for section in (tile.z, *tile.slices)]
        torch_decoded = _picture(grid, [tile.decoded for tile in tiles])
        torch_bytes = sum(tile.stream_bytes for tile in tiles)
        stream_bytes = sum(section.size for section in sections)
        float_stream_bytes = sum(self._float_stream_bytes(tile.float_walk) for tile in tiles)
        pixels = grid.height * grid.width
        return ImageResult(
            image=name,
            width=grid.width,
            height=grid.height,
            likelihood_bpp=sum(tile.likelihood_bits for tile in tiles) / pixels,
            torch_bpp=torch_bytes * 8 / pixels,
            file_bpp=len(data) * 8 / pixels,
            ideal_bytes=sum(self._ideal_bits(tile.walk) for tile in tiles) / 8,
            torch_bytes=torch_bytes,
            streams=sum(len(section.streams) for section in sections),
            stream_bytes=stream_bytes,
            file_bytes=len(data),
            float_file_bytes=len(data) - stream_bytes + float_stream_bytes,
            forward_psnr_db=psnr(image, _picture(grid, [tile.x_hat for tile in tiles])),
            torch_psnr_db=psnr(image, torch_decoded),
            file_psnr_db=psnr(image, decoded),
            graph_steps=max_steps(
                _picture(grid, x_hats), _picture(grid, [tile.cases["g_s"].outputs["x_hat"] for tile in tiles])
            ),
            file_steps=max_steps(decoded, torch_decoded),
            half_file_bytes=None if half is None else len(half),
            half_psnr_db=None if half_decoded is None else psnr(image, half_decoded),
        )

    def _float_stream_bytes(self, walk: WalkReference) -> int:
        """Return the bytes that the checkpoint's own means and scales take with the bundle's tables and thresholds."""
        z = self.coder.encode(walk.z_symbols.ravel(), _channels(walk.z_symbols), self.tables.z)
        return len(z) + sum(
            len(self.coder.encode(p.symbols.ravel(), self.tables.scale_indexes(p.scales).ravel(), self.tables.y))
            for p in walk.passes
        )

    def _ideal_bits(self, walk: WalkReference) -> float:
        """Return the ideal code length, by the quantized CDFs, of the symbols of PyTorch in the bundle's arithmetic."""
        y = sum(code_length(p.symbols.ravel(), p.indexes.ravel(), self.tables.y) for p in walk.passes)
        return y + code_length(walk.z_symbols.ravel(), _channels(walk.z_symbols), self.tables.z)


def _channels(z_symbols: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Return the table row that codes each symbol of z, [1, N, H, W]: its channel, uint16 [n]."""
    _, channels, height, width = z_symbols.shape
    return np.repeat(np.arange(channels, dtype=np.uint16), height * width)


def _picture(grid: TileGrid, x_hats: list[NDArray[np.float32]]) -> Image:
    """Join decoded tiles, [1, 3, H, W], to a picture, rounded to uint8 [H, W, 3]."""
    return grid.join(to_image(x_hat[0]) for x_hat in x_hats)


def _subgraph_results(errors: Errors, precision: Precision) -> list[SubgraphResult]:
    return [
        SubgraphResult(
            subgraph=subgraph,
            tensor=tensor,
            precision=graph_precision(precision, subgraph),
            max_abs_error=error.max_abs,
            relative_error=error.relative,
            cosine=error.cosine,
            psnr_db=error.psnr_db,
        )
        for (subgraph, tensor), error in errors.items()
    ]


def _report(
    bundle: Bundle, deployment: Deployment, findings: list[Finding], subgraphs: list[SubgraphResult], **results: Any
) -> Report:
    manifest = bundle.manifest
    return Report(
        checkpoint_sha256=manifest.checkpoint.sha256,
        fingerprint=manifest.fingerprint,
        form=manifest.form,
        shape=str(manifest.encoder),
        precision=manifest.precision,
        arithmetic=manifest.arithmetic,
        passed=all(finding.passed for finding in findings),
        findings=findings,
        subgraphs=subgraphs,
        layers=[LayerResult(**asdict(proof)) for proof in deployment.proofs],
        operators={name: info.operators for name, info in manifest.subgraphs.items()},
        **results,
    )


def _measure_end_to_end(
    deployment: Deployment, bundle: Bundle, images: list[Path], errors: Errors, progress: Progress
) -> list[EndToEndResult]:
    """Run the graph `no_entropy` on each image, in tiles if it is too large, and add the errors to `errors`."""
    run = load_runner(bundle, onnxruntime_factory(), NO_ENTROPY, finite=False)
    manifest = bundle.manifest
    results = []
    for path in progress(images):
        image = read_image(path)
        grid = TileGrid.within(image.shape[0], image.shape[1], manifest.encoder)
        expected, found = [], []
        for tile in grid.cut(image):
            x = to_input(tile)
            expected.append(record_end_to_end(deployment, torch.from_numpy(x), manifest.step))
            outputs = run({"input": np.repeat(x, manifest.batch.min, axis=0)})
            found.append({name: value[:1] for name, value in outputs.items()})
            for name, value in outputs.items():
                reference = np.repeat(expected[-1][name], manifest.batch.min, axis=0)
                errors.setdefault((NO_ENTROPY, name), TensorError()).add(reference, value)
        pictures = [_picture(grid, [tile["x_hat"] for tile in tiles]) for tiles in (expected, found)]
        pixels = grid.height * grid.width
        results.append(
            EndToEndResult(
                image=path.name,
                width=grid.width,
                height=grid.height,
                torch_psnr_db=psnr(image, pictures[0]),
                graph_psnr_db=psnr(image, pictures[1]),
                graph_steps=max_steps(*pictures),
                torch_bpp=_bits(expected) / pixels,
                graph_bpp=_bits(found) / pixels if len(found[0]) > 1 else None,
                correlation=_least(
                    correlation(e[n], f[n]) for e, f in zip(expected, found, strict=True) for n in f if n != "x_hat"
                ),
                smallest_likelihood=_least(float(v.min()) for t in found for n, v in t.items() if n != "x_hat"),
            )
        )
    return results


def _least(values: Iterable[float]) -> float:
    """Return the least of values up to 1, or NaN if one is NaN, which `min` would not do."""
    return float(np.min([1.0, *values]))


def _bits(tiles: list[Arrays]) -> float:
    return sum(bits(tile[name]) for tile in tiles for name in ("y_likelihoods", "z_likelihoods"))
