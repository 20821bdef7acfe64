"""Calibration: measure on photographs how large the tensors get that will hold integers.

`quantize.py` derives the grids of these tensors from their peaks. The peaks are measured in float64 and rounded up to 8
bits, so that processors whose sums differ in the last bits find the same peaks, and the same fingerprint.
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
from elic_runtime.pixels import Image
from elic_runtime.tables import check_size
from elic_runtime.thumbnail_head import ARRAY, Head, read_head
from numpy.typing import NDArray
from torch import Tensor, nn

from elic_export.errors import ExportError
from elic_export.exact.thumbnail_fit import ThumbnailFit

CROP = 256
"""Height and width of a crop, pixels."""

CROPS = 64
"""Approximate number of crops taken from a folder of photographs, shared evenly among them."""

_PEAK_BITS = 8

Progress = Callable[[list[Image]], Iterable[Image]]
"""Shows progress by wrapping the crops that calibration iterates over."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is measured on photographs: the largest magnitudes of tensors that a quantized model holds as integers.

    Parameters
    ----------
    peaks : dict of ndarray
        Largest magnitude of each channel, float64 [C], by tensor: `z_hat`, `y_hat`, or the name of the module that
        computes it.
    head : Head, optional
        Makes thumbnails of y_hat.

    """

    peaks: dict[str, NDArray[np.float64]]
    head: Head | None = None


def calibrate(model: ELIC, crops: Iterable[Image]) -> Calibration:
    """Run a float model over crops, and record the peaks.

    Parameters
    ----------
    model : ELIC
        The model, which stays as it is.
    crops : iterable of ndarray
        Crops of photographs, uint8 [H, W, 3], whose H and W are multiples of 64.

    Returns
    -------
    Calibration
        The peaks over all crops, and the head for thumbnails.

    Raises
    ------
    ExportError
        If there are no crops, or if an activation is not finite.

    """
    model = copy.deepcopy(model).double()
    peaks: dict[str, Tensor] = {}
    fit = ThumbnailFit()

    def keep(name: str, value: Tensor) -> None:
        peak = value.abs().amax(dim=(0, 2, 3))
        peaks[name] = torch.maximum(peaks[name], peak) if name in peaks else peak

    hooks = [module.register_forward_hook(_keeper(name, keep)) for name, module in observed(model)]
    try:
        with torch.inference_mode():
            for crop in crops:
                y_hat = _run(model, torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].double() / 255, keep)
                fit.add(y_hat[0].numpy(), crop)
    finally:
        for hook in hooks:
            hook.remove()
    if not peaks:
        raise ExportError("calibration needs at least one photograph")
    if not all(bool(peak.isfinite().all()) for peak in peaks.values()):
        raise ExportError("calibration: the model computes values that are not finite")
    return Calibration({name: _round_up(peak.numpy()) for name, peak in sorted(peaks.items())}, fit.solve())


def obtain_calibration(model: ELIC, path: Path, progress: Progress = iter) -> Calibration:
    """Calibrate on photographs, or read the calibration of an earlier export.

    Parameters
    ----------
    model : ELIC
        The float model.
    path : Path
        A photograph, a folder of photographs, or a `calibration.npz`.
    progress : callable, optional
        Shows progress by wrapping the crops.

    Returns
    -------
    Calibration
        The peaks and the head; a file of an earlier release may hold no head.

    Raises
    ------
    ImageError
        If a photograph cannot be read.
    ExportError
        If the file is not a calibration, or if the model gives values that are not finite.

    """
    return read_calibration(path) if path.suffix == ".npz" else calibrate(model, progress(crops_of(path)))


def observed(model: ELIC) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules whose outputs a quantized model holds as integers.

    These are every ReLU, and the last layer of every network except the parameter nets.

    Parameters
    ----------
    model : ELIC
        The float model.

    Yields
    ------
    tuple of str and Module
        Name of the module in the model, and the module.

    """
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
    """Cut crops from a photograph, or from the photographs in a folder.

    The crops are the same in every call. A photograph that is too small is extended by its edge pixels, and one of
    256x256 pixels gives one crop.

    Parameters
    ----------
    path : Path
        The photograph or the folder.

    Returns
    -------
    list of ndarray
        Crops, uint8 [256, 256, 3].

    Raises
    ------
    ImageError
        If a photograph cannot be read.

    """
    paths = image_files(path)
    if len(paths) > CROPS:
        paths = [paths[i * len(paths) // CROPS] for i in range(CROPS)]
    each = -(-CROPS // len(paths))
    return [crop for path in paths for crop in _cut(read_image(path), each)]


def read_calibration(path: Path) -> Calibration:
    """Read the `calibration.npz` of a bundle.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ExportError
        If the file is not a calibration, or would unpack to more than 64 MiB.

    """
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            peaks = {name: np.asarray(file[name]) for name in file.files if name != ARRAY}
            latents = len(peaks.get("y_hat", ()))
            head = read_head(path, latents) if ARRAY in file.files else None
    except Exception as error:  # every layer of a damaged zip of arrays raises exceptions of its own
        raise ExportError(f"{path}: not a calibration: {' '.join(str(error).split()) or 'damaged'}") from None
    for name, peak in peaks.items():
        if peak.dtype != np.float64 or peak.ndim != 1 or not peak.size or not (np.isfinite(peak) & (peak >= 0)).all():
            raise ExportError(f"{path}: not a calibration: {name!r} is not a row of finite float64 numbers")
    return Calibration(peaks, head)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a `calibration.npz`. Equal calibrations give equal bytes.

    Parameters
    ----------
    path : Path
        The file to write.
    calibration : Calibration
        The peaks and, where there is one, the head for thumbnails.

    """
    head = {} if calibration.head is None else {ARRAY: calibration.head.weights}
    np.savez(path, **{name: calibration.peaks[name] for name in sorted(calibration.peaks)}, **head)


def _keeper(name: str, keep: Callable[[str, Tensor], None]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        keep(name, output)

    return hook


def _run(model: ELIC, x: Tensor, keep: Callable[[str, Tensor], None]) -> Tensor:
    """Run a forward pass without g_s and likelihoods, and return y_hat."""
    y = model.g_a(x)
    y_slices = y.split(model.spec.groups, dim=1)
    medians = model.entropy_bottleneck.quantiles[:, :, 1:2].reshape(1, -1, 1, 1).double()
    z_hat = (model.h_a(y) - medians).round() + medians
    keep("z_hat", z_hat)

    def code(k: int, half: int, means: Tensor, _scales: Tensor) -> Tensor:
        return (pack(y_slices[k], model.parity(half)) - means).round() + means

    y_hat = model.code_passes(*model.latent_parameters(z_hat), code)
    keep("y_hat", y_hat)
    return y_hat


def _round_up(peak: NDArray[np.float64]) -> NDArray[np.float64]:
    fraction, exponent = np.frexp(peak)
    return np.ldexp(np.ceil(np.ldexp(fraction, _PEAK_BITS)), exponent - _PEAK_BITS)


def _cut(image: Image, count: int) -> Iterator[Image]:
    """Yield `count` crops, at rows evenly spaced and columns spread by multiples of the golden ratio."""
    height, width = image.shape[:2]
    image = np.pad(image, ((0, max(0, CROP - height)), (0, max(0, CROP - width)), (0, 0)), mode="edge")
    rows, columns = image.shape[0] - CROP, image.shape[1] - CROP
    for i in range(count if rows or columns else 1):
        top, left = rows * (2 * i + 1) // (2 * count), columns * ((i * 618 + 500) % 1000) // 1000
        yield image[top : top + CROP, left : left + CROP].copy()  # without the rest of the image in memory
