"""Photographs and a float model -> how large each tensor gets that is to become integers.

`quantize.py` turns these peaks into grids. They are measured in float64 and rounded up
to 8 bits, so that another processor, whose sums end differently in the last bits,
finds the same ones, and the same fingerprint.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from elic_models import ELIC
from elic_models.checkerboard import pack
from elic_runtime.images import image_files, read_image
from elic_runtime.tables import check_size
from elic_runtime.tiles import Image
from numpy.typing import NDArray
from torch import Tensor, nn

from elic_export.errors import ExportError

CROP = 256
"""Height and width of a crop, pixels."""

CROPS = 64
"""Crops taken from a folder of photographs, about: they are shared evenly among its images."""

_PEAK_BITS = 8

Progress = Callable[[list[Image]], Iterable[Image]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Largest magnitude of each channel of each tensor that a quantized model holds as integers.

    peaks: float64 [C] by name: `z_hat`, `y_hat`, or the module in the model that gives it.
    """

    peaks: dict[str, NDArray[np.float64]]


def calibrate(model: ELIC, crops: Iterable[Image]) -> Calibration:
    """Run the float model over crops, uint8 [H, W, 3], multiples of 64, and keep peaks.

    Raises ExportError for no crops, or for activations that are not finite.
    """
    model = copy.deepcopy(model).double()
    peaks: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor) -> None:
        peak = value.abs().amax(dim=(0, 2, 3))
        peaks[name] = torch.maximum(peaks[name], peak) if name in peaks else peak

    hooks = [module.register_forward_hook(_keeper(name, keep)) for name, module in observed(model)]
    try:
        with torch.inference_mode():
            for crop in crops:
                _run(model, torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].double() / 255, keep)
    finally:
        for hook in hooks:
            hook.remove()
    if not peaks:
        raise ExportError("calibration needs at least one photograph")
    if not all(bool(peak.isfinite().all()) for peak in peaks.values()):
        raise ExportError("calibration: the model gives values that are not finite")
    return Calibration({name: _round_up(peak.numpy()) for name, peak in sorted(peaks.items())})


def obtain_calibration(model: ELIC, path: Path, progress: Progress = iter) -> Calibration:
    """Calibrate on photographs, a folder or one, or read the `calibration.npz` of an earlier export.

    Raises ImageError, ExportError.
    """
    return read_calibration(path) if path.suffix == ".npz" else calibrate(model, progress(crops_of(path)))


def observed(model: ELIC) -> Iterator[tuple[str, nn.Module]]:
    """The modules whose outputs are requantized: each ReLU, and each last layer but the parameter nets'."""
    names = ["h_s"]
    for k, context in enumerate(model.contexts):
        yield f"context.{k}.spatial", context.spatial
        parts = ("aggregation", "anchor_aggregation", "channel")
        names += [f"context.{k}.{part}" for part in parts if getattr(context, part) is not None]
    for name in names:
        layers = model.get_submodule(name)
        assert isinstance(layers, nn.Sequential)  # noqa: S101 - how elic_models builds them
        for i, layer in enumerate(layers):
            last = i == len(layers) - 1
            if isinstance(layer, nn.ReLU) or (last and not name.endswith("aggregation")):
                yield f"{name}.{i}", layer


def crops_of(path: Path) -> list[Image]:
    """Crops of a photograph, or of those in a folder, the same for the same files: uint8 [256, 256, 3].

    A smaller photograph is continued at its edges; those of 256x256 are taken as they are. Raises ImageError.
    """
    paths = image_files(path)
    if len(paths) > CROPS:
        paths = [paths[i * len(paths) // CROPS] for i in range(CROPS)]
    each = -(-CROPS // len(paths))
    return [crop for path in paths for crop in _cut(read_image(path), each)]


def read_calibration(path: Path) -> Calibration:
    """Read `calibration.npz` of a bundle. Raises ExportError, also for one that would unpack to more than 64 MiB."""
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            peaks = {name: np.asarray(file[name]) for name in file.files}
    except Exception as error:  # a zip of arrays can be broken in any layer, each with exceptions of its own
        raise ExportError(f"{path}: no calibration: {' '.join(str(error).split()) or 'damaged'}") from None
    for name, peak in peaks.items():
        if peak.dtype != np.float64 or peak.ndim != 1 or not peak.size or not (np.isfinite(peak) & (peak >= 0)).all():
            raise ExportError(f"{path}: no calibration: {name!r} is no row of finite float64 numbers")
    return Calibration(peaks)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write `calibration.npz`: equal peaks give equal bytes."""
    np.savez(path, **{name: calibration.peaks[name] for name in sorted(calibration.peaks)})


def _keeper(name: str, keep: Callable[[str, Tensor], None]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        keep(name, output)

    return hook


def _run(model: ELIC, x: Tensor, keep: Callable[[str, Tensor], None]) -> None:
    """A forward pass without g_s and likelihoods."""
    y = model.g_a(x)
    y_slices = y.split(model.spec.groups, dim=1)
    medians = model.entropy_bottleneck.quantiles[:, :, 1:2].reshape(1, -1, 1, 1).double()
    z_hat = (model.h_a(y) - medians).round() + medians
    keep("z_hat", z_hat)

    def code(k: int, half: int, means: Tensor, _scales: Tensor) -> Tensor:
        return (pack(y_slices[k], model.parity(half)) - means).round() + means

    keep("y_hat", model.code_passes(*model.latent_parameters(z_hat), code))


def _round_up(peak: NDArray[np.float64]) -> NDArray[np.float64]:
    fraction, exponent = np.frexp(peak)
    return np.ldexp(np.ceil(np.ldexp(fraction, _PEAK_BITS)), exponent - _PEAK_BITS)


def _cut(image: Image, count: int) -> Iterator[Image]:
    """`count` crops evenly from top to bottom, at columns that jump about: multiples of the golden ratio."""
    height, width = image.shape[:2]
    image = np.pad(image, ((0, max(0, CROP - height)), (0, max(0, CROP - width)), (0, 0)), mode="edge")
    rows, columns = image.shape[0] - CROP, image.shape[1] - CROP
    for i in range(count if rows or columns else 1):
        top, left = rows * (2 * i + 1) // (2 * count), columns * ((i * 618 + 500) % 1000) // 1000
        yield image[top : top + CROP, left : left + CROP].copy()  # without the rest of the image
