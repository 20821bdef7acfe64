"""Is the bundle still the model? The questions of DESIGN.md section 8, each measured.

Graphs, tables and coders are asked on PyTorch's own inputs, so that one difference is
counted once; the real file is asked end to end. `verdicts.py` judges.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from elic_models import ELIC
from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.coders import make_coder
from elic_runtime.container import parse
from elic_runtime.context import NONANCHOR, anchor_name, nonanchor_name
from elic_runtime.images import read_image
from elic_runtime.runners import Arrays, onnxruntime_factory
from elic_runtime.tiles import Image, TileGrid
from numpy.typing import NDArray

from elic_export.config import Thresholds
from elic_export.metrics import TensorError, code_length, max_steps, psnr
from elic_export.reference import PassReference, TileReference, record_tile
from elic_export.verdicts import ImageResult, PassResult, Report, SubgraphResult, judge

Progress = Callable[[Iterable[Path]], Iterable[Path]]


def measure_parity(
    model: ELIC, bundle: Bundle, images: list[Path], thresholds: Thresholds, progress: Progress = iter
) -> Report:
    """Hold a bundle against the model it was exported from.

    images: photographs, cut into the bundle's tiles for both sides.
    Raises ImageError, BundleError; DesyncError if a file does not decode where it was written.
    """
    parity = _Parity(model, bundle)
    results = [parity.image(path) for path in progress(images)]
    subgraphs = parity.subgraph_results()
    passes = list(parity.passes.values())
    findings = judge(thresholds, subgraphs, passes, results, parity.streams_differing)
    manifest = bundle.manifest
    return Report(
        checkpoint_sha256=manifest.checkpoint.sha256,
        fingerprint=manifest.fingerprint,
        form=manifest.form,
        shape=str(manifest.shape),
        precision=manifest.precision,
        arithmetic=manifest.arithmetic,
        passed=all(finding.passed for finding in findings),
        findings=findings,
        subgraphs=subgraphs,
        passes=passes,
        images=results,
        streams_compared=parity.streams_compared,
        streams_differing=parity.streams_differing,
        operators={name: info.operators for name, info in manifest.subgraphs.items()},
    )


class _Parity:
    """What accumulates over images and tiles."""

    def __init__(self, model: ELIC, bundle: Bundle) -> None:
        self.model = model
        self.shape = bundle.manifest.shape
        factory = onnxruntime_factory()
        self.runners = {
            name: factory(name, bundle.graph_path(name), info) for name, info in bundle.manifest.subgraphs.items()
        }
        self.codec = Codec.load(bundle.folder, runner=lambda name, _path, _info: self.runners[name])
        self.tables = bundle.tables()
        self.compressai = make_coder("compressai")
        self.errors: dict[tuple[str, str], TensorError] = {}
        self.passes: dict[tuple[int, int], PassResult] = {}
        self.streams_compared = 0
        self.streams_differing = 0

    def image(self, path: Path) -> ImageResult:
        image = read_image(path)
        grid = TileGrid(image.shape[0], image.shape[1], self.shape.height, self.shape.width)
        tiles = [record_tile(self.model, _to_tensor(tile)) for tile in grid.cut(image)]
        x_hats = []
        for tile in tiles:
            outputs = self._graphs(tile)
            for reference in tile.passes:
                self._pass(reference, outputs)
            self._streams(tile)
            x_hats.append(outputs["g_s"]["x_hat"])
        return self._end_to_end(path.name, image, grid, tiles, x_hats)

    def subgraph_results(self) -> list[SubgraphResult]:
        return [
            SubgraphResult(
                subgraph=subgraph,
                tensor=tensor,
                max_abs_error=error.max_abs,
                relative_error=error.relative,
                cosine=error.cosine,
                psnr_db=error.psnr_db,
            )
            for (subgraph, tensor), error in self.errors.items()
        ]

    def _graphs(self, tile: TileReference) -> dict[str, Arrays]:
        """Question 1: every subgraph on PyTorch's inputs."""
        outputs = {name: runner(tile.cases[name].inputs) for name, runner in self.runners.items()}
        for name, found in outputs.items():
            for tensor, expected in tile.cases[name].outputs.items():
                self.errors.setdefault((name, tensor), TensorError()).add(expected, found[tensor])
        return outputs

    def _pass(self, reference: PassReference, outputs: dict[str, Arrays]) -> None:
        """Question 2: scale indexes and symbols from the graph's means and scales."""
        k, last = reference.k, reference.half == NONANCHOR
        found = outputs[nonanchor_name(k) if last else anchor_name(k)]
        indexes = self.tables.scale_indexes(found["scales"]).ravel()
        symbols = np.rint(reference.y - found["means"]).astype(np.int32).ravel()
        result = self.passes.setdefault(
            (k, reference.half), PassResult(slice=k, half="nonanchor" if last else "anchor")
        )
        result.symbols += symbols.size
        result.differing_indexes += int((indexes != reference.indexes).sum())
        result.differing_symbols += int((symbols != reference.symbols).sum())

    def _streams(self, tile: TileReference) -> None:
        """Question 3: PyTorch's symbols and indexes, through our tables, give PyTorch's bytes."""
        coded = [(tile.z_symbols, _channels(tile.z_symbols), self.tables.z, tile.z_stream)]
        coded += [(p.symbols, p.indexes.astype(np.uint16), self.tables.y, p.stream) for p in tile.passes]
        for symbols, indexes, tables, stream in coded:
            self.streams_compared += 1
            self.streams_differing += self.compressai.encode(symbols.ravel(), indexes, tables) != stream

    def _end_to_end(
        self, name: str, image: Image, grid: TileGrid, tiles: list[TileReference], x_hats: list[NDArray[np.float32]]
    ) -> ImageResult:
        """Question 3 and 4: the real file against PyTorch's streams, and the pictures."""
        data = self.codec.compress(image)
        decoded = self.codec.decompress(data)
        sections = [section for tile in parse(data).tiles for section in (tile.z, *tile.slices)]
        torch_decoded = _picture(grid, [tile.decoded for tile in tiles])
        torch_bytes = sum(tile.stream_bytes for tile in tiles)
        pixels = grid.height * grid.width
        return ImageResult(
            image=name,
            width=grid.width,
            height=grid.height,
            likelihood_bpp=sum(tile.likelihood_bits for tile in tiles) / pixels,
            torch_bpp=torch_bytes * 8 / pixels,
            file_bpp=len(data) * 8 / pixels,
            ideal_bytes=sum(self._ideal_bits(tile) for tile in tiles) / 8,
            torch_bytes=torch_bytes,
            streams=sum(len(section.streams) for section in sections),
            stream_bytes=sum(section.size for section in sections),
            file_bytes=len(data),
            forward_psnr_db=psnr(image, _picture(grid, [tile.x_hat for tile in tiles])),
            torch_psnr_db=psnr(image, torch_decoded),
            file_psnr_db=psnr(image, decoded),
            graph_steps=max_steps(
                _picture(grid, x_hats), _picture(grid, [tile.cases["g_s"].outputs["x_hat"] for tile in tiles])
            ),
            file_steps=max_steps(decoded, torch_decoded),
        )

    def _ideal_bits(self, tile: TileReference) -> float:
        """Code length of PyTorch's symbols by the quantized CDFs."""
        y = sum(code_length(p.symbols, p.indexes, self.tables.y) for p in tile.passes)
        return y + code_length(tile.z_symbols.ravel(), _channels(tile.z_symbols), self.tables.z)


def _channels(z_symbols: NDArray[np.int32]) -> NDArray[np.uint16]:
    """The row that codes each symbol of z [1, N, H, W]: its channel, uint16 [n]."""
    _, channels, height, width = z_symbols.shape
    return np.repeat(np.arange(channels, dtype=np.uint16), height * width)


def _to_tensor(tile: Image) -> torch.Tensor:
    """uint8 [H, W, 3] -> [1, 3, H, W] in 0..1."""
    return torch.from_numpy(tile.copy()).permute(2, 0, 1)[None].float() / 255


def _picture(grid: TileGrid, x_hats: list[NDArray[np.float32]]) -> Image:
    """Tiles [1, 3, H, W] -> the uint8 image, rounded as a PNG would be."""
    tiles = (np.rint(x.clip(0, 1) * 255).astype(np.uint8)[0].transpose(1, 2, 0) for x in x_hats)
    return grid.join(tiles)
