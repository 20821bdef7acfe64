"""Choose the layers of g_a and g_s that compute in 8 bits, by what they cost in PSNR and bytes.

```
photographs ─ ranges of all layers ─ error of each layer alone ─ the most multiply-adds for a limit of PSNR and bytes
```
Errors of layers add up as independent noise does. So layers are ordered by error per multiply-add, and the longest
beginning of that order is taken whose measured cost is within the limit, with those of the others that still fit.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np
import onnx
from elic_runtime.context import Floats
from elic_runtime.entries import Int8Info
from elic_runtime.metrics import psnr
from elic_runtime.pixels import Image, to_image, to_input
from elic_runtime.shapes import Batch, Extent

from elic_export.config import ExportConfig
from elic_export.exact.calibration import CROP
from elic_export.exact.deployment import Deployment
from elic_export.graphs.declare import declare_codec
from elic_export.latent_coding import LatentCoder
from elic_export.onnx_file import export_graph
from elic_export.passes.exported import load_graph
from elic_export.passes.int8 import LayerRange, multiply_adds, observe, to_int8
from elic_export.passes.rewrites import REWRITES

MAX_LOST_DB = {"g_a": 0.03, "g_s": 0.03}
"""How much PSNR the layers of each transform may cost, so that other photographs lose less than 0.1 dB."""

DB_PER_PERCENT = 0.031
"""PSNR that 1 % of the bytes is worth: along ELIC's own curve, 0.6 times the bytes cost 1.57 dB."""

SEARCHED = ("g_a", "g_s")
"""The transforms that have layers in 8 bits. h_a has 1 % of the multiply-adds, and z decides on the rate of y."""

COMPARED = 3
"""The error of each layer alone is measured on every third of the crops that costs are measured on."""

logger = logging.getLogger(__name__)

Progress = Callable[[Sequence[str]], Iterable[str]]
"""Shows progress by wrapping the layers that are tried."""


@dataclass(frozen=True)
class Int8Layers:
    """The layers of a model that compute in 8 bits.

    Parameters
    ----------
    ranges : dict of str to LayerRange
        The layers, with the ranges of what they read and give.
    kept : tuple of str
        The layers of g_a and g_s that do not.
    share : dict of str to float
        Share of the multiply-adds in 8 bits, by transform.
    psnr_lost_db : float
        What both transforms together cost on photographs of the calibration that ranges were not measured on.
    bytes_more : float
        The same of the ideal code length, as a share.

    """

    ranges: dict[str, LayerRange]
    kept: tuple[str, ...]
    share: dict[str, float]
    psnr_lost_db: float
    bytes_more: float

    @property
    def info(self) -> Int8Info:
        """The entry for the manifest."""
        return Int8Info(
            layers=len(self.ranges),
            kept=self.kept,
            share=self.share,
            psnr_lost_db=self.psnr_lost_db,
            bytes_more=self.bytes_more,
        )


def choose_int8_layers(
    deployment: Deployment, config: ExportConfig, crops: Sequence[Image], progress: Progress = iter
) -> Int8Layers:
    """Choose the layers of g_a and g_s that compute in 8 bits.

    Parameters
    ----------
    deployment : Deployment
        The model.
    config : ExportConfig
        What to export. Its rewrites change the layers; its shape does not.
    crops : sequence of ndarray
        Crops of photographs, as `crops_of` returns them. Ranges are measured on every second one, costs on the others.
    progress : callable, optional
        Shows progress by wrapping the layers that are tried.

    Returns
    -------
    Int8Layers
        The layers.

    Raises
    ------
    ExportError
        If there are no crops, or a graph cannot be traced or run.

    """
    graphs = _graphs_of_crops(deployment, config)
    trial = _Trial(deployment, graphs, crops[1::2] or crops[:1])
    calibrating = _Trial(deployment, graphs, crops[::2])
    ranges = {
        "g_a": observe("g_a", graphs["g_a"], [{"x": to_input(crop)} for crop in calibrating.crops]),
        "g_s": observe("g_s", graphs["g_s"], [{"y_hat": y_hat} for y_hat in calibrating.coded[0]]),
    }
    work = {name: multiply_adds(name, graphs[name]) for name in SEARCHED}
    errors = {name: trial.errors(name, ranges[name], progress) for name in SEARCHED}
    chosen: dict[str, dict[str, LayerRange]] = {}
    for name in SEARCHED:
        order = sorted(ranges[name], key=lambda layer: errors[name][layer] / work[name][layer])
        layers = _most(order, lambda some: trial.accepts(name, _some(ranges[name], some)))  # noqa: B023
        chosen[name] = _some(ranges[name], layers)
    lost, more = trial.cost(chosen)
    return Int8Layers(
        ranges=chosen["g_a"] | chosen["g_s"],
        kept=tuple(layer for name in SEARCHED for layer in work[name] if layer not in chosen[name]),
        share={name: sum(work[name][layer] for layer in chosen[name]) / sum(work[name].values()) for name in SEARCHED},
        psnr_lost_db=lost,
        bytes_more=more,
    )


def _graphs_of_crops(deployment: Deployment, config: ExportConfig) -> dict[str, onnx.ModelProto]:
    """Trace the transforms in float32, for the size of a crop."""
    extent = Extent.one(CROP, CROP)
    changed = {
        "form": "static",
        "shape": extent,
        "decoder_shape": None,
        "batch": Batch(),
        "precision": "fp32",
        "rename": {},
        "rewrites": tuple(name for name in config.rewrites if not REWRITES[name].adds),
        "allowed_operators": None,
    }
    traced = config.model_copy(update=changed)
    transforms = [graph for graph in declare_codec(deployment.model.spec) if graph.name in ("g_a", "h_a", "g_s")]
    return {graph.name: export_graph(graph, deployment, traced, extent)[0].graph for graph in transforms}


def _some(ranges: dict[str, LayerRange], layers: Iterable[str]) -> dict[str, LayerRange]:
    return {layer: ranges[layer] for layer in layers}


def _most(order: Sequence[str], accepts: Callable[[Sequence[str]], bool]) -> list[str]:
    """Return the longest beginning of an order that is accepted, and each further one that is accepted with it."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if accepts(order[:middle]) else (low, middle - 1)
    layers = list(order[:low])
    for layer in order[low + 1 :]:
        if accepts([*layers, layer]):
            layers.append(layer)
    return layers


class _Trial:
    """Crops, what float32 makes of them, and what candidates make of them."""

    def __init__(self, deployment: Deployment, graphs: dict[str, onnx.ModelProto], crops: Sequence[Image]) -> None:
        self.graphs, self.crops = graphs, crops
        self._coder = LatentCoder(deployment)
        self._h_a = load_graph("h_a", graphs["h_a"])

    @cached_property
    def ys(self) -> list[Floats]:
        """The latents of all crops."""
        return self._analyse(self.graphs["g_a"])

    @cached_property
    def coded(self) -> tuple[list[Floats], float]:
        """Their decoded latents, and the ideal code length of all together in bits."""
        return self._code(self.ys)

    @cached_property
    def x_hats(self) -> list[Floats]:
        """Their decoded images."""
        return self._synthesise(self.graphs["g_s"], self.coded[0])

    @cached_property
    def psnr_db(self) -> float:
        """Mean PSNR of their pictures."""
        return self._psnr(self.x_hats)

    def errors(self, name: str, ranges: dict[str, LayerRange], progress: Progress) -> dict[str, float]:
        """Return the squared error of a transform's output that each layer alone causes."""
        found = {}
        for layer in progress(list(ranges)):
            graph = to_int8(name, self.graphs[name], {layer: ranges[layer]})
            if name == "g_a":
                expected, outputs = self.ys, self._analyse(graph, COMPARED)
            else:
                expected, outputs = self.x_hats, self._synthesise(graph, self.coded[0][::COMPARED])
            pairs = zip(outputs, expected[::COMPARED], strict=True)
            found[layer] = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
        return found

    def accepts(self, name: str, ranges: dict[str, LayerRange]) -> bool:
        """Return whether layers of one transform cost little enough."""
        lost, more = self.cost({name: ranges})
        cost = lost + DB_PER_PERCENT * 100 * more
        logger.info("%s: %d layers in int8 cost %.3f dB and %.2f %% of the bytes", name, len(ranges), lost, 100 * more)
        return cost <= MAX_LOST_DB[name]

    def cost(self, ranges: dict[str, dict[str, LayerRange]]) -> tuple[float, float]:
        """Return the PSNR lost in dB, and the bytes added as a share, by layers of both transforms."""
        y_hats, bits = self.coded
        if ranges.get("g_a"):
            y_hats, bits = self._code(self._analyse(to_int8("g_a", self.graphs["g_a"], ranges["g_a"])))
        g_s = to_int8("g_s", self.graphs["g_s"], ranges.get("g_s", {}))
        return self.psnr_db - self._psnr(self._synthesise(g_s, y_hats)), bits / self.coded[1] - 1

    def _analyse(self, graph: onnx.ModelProto, every: int = 1) -> list[Floats]:
        g_a = load_graph("g_a", graph)
        return [g_a({"x": to_input(crop)})["y"] for crop in self.crops[::every]]

    def _code(self, ys: list[Floats]) -> tuple[list[Floats], float]:
        coded = [self._coder.code(y, self._h_a({"y": y})["z"]) for y in ys]
        return [c.y_hat for c in coded], sum(c.bits for c in coded)

    def _synthesise(self, graph: onnx.ModelProto, y_hats: Sequence[Floats]) -> list[Floats]:
        g_s = load_graph("g_s", graph)
        return [g_s({"y_hat": y_hat})["x_hat"] for y_hat in y_hats]

    def _psnr(self, x_hats: list[Floats]) -> float:
        return fmean(psnr(crop, to_image(x_hat[0])) for crop, x_hat in zip(self.crops, x_hats, strict=True))
