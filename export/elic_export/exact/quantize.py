"""Quantization: turn a float model and its calibration into a model with h_s and the context model in integers.

This is post-training quantization after He et al., "Post-Training Quantization for Cross-Platform Learned Image
Compression" (arXiv 2202.07513). Tensors stay float32 but hold integers, and every layer is a convolution, Floor and
Clip. The weights of a convolution are integers of up to 11 bits times one power of two per output channel, its unit.
That is the smallest unit for which no sum of terms, in any order, reaches 2^24 units, so that float32 adds without
rounding on every machine. A layer whose outputs could become far larger than in calibration gets a unit above 1, and
outputs that are multiples of it. `proof.py` proves these properties of the result.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from elic_models import ELIC
from elic_models.context import SliceContext
from elic_models.layers import CheckerboardConv2d
from numpy.typing import NDArray
from torch import Tensor, nn

from elic_export.errors import ExportError, InexactError
from elic_export.exact.calibration import Calibration

Float64 = NDArray[np.float64]

ACCUMULATOR_LIMIT = 2**24
"""float32 holds every integer up to this one."""

OPERAND_LIMIT = 2**11 - 1
"""Largest magnitude of an integer weight or input: 11 bits, which TF32 holds too."""

FACTOR_BITS = 7
"""Bits of the factor that a real input is multiplied by, at most. With 7, its step is at most 2 % too large."""

COARSEST_BITS = -25
"""Fractional bits of the coarsest unit, 2^25. Sums of 2^49 are far below the limits of float32, and of no use."""

_FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True)
class Precision:
    """How fine the integers are. The defaults were chosen by rate; docs/exact.md says what else was tried.

    Parameters
    ----------
    activation_bits : int
        Bits of an activation, not counting the sign.
    channel_bits : int
        The same for activations inside the channel context, whose 5x5 kernels add up to 5600 products.
    input_bits : int
        The same for the inputs y_hat and z_hat.
    margin : float
        Value that a tensor is clipped at, as a multiple of the largest in calibration.
    floor : float
        Smallest peak that a channel is given, as a share of the largest peak of its tensor.
    mean_bits, scale_bits, median_bits : int
        Fractional bits of means, scales and the medians of z.

    """

    activation_bits: int = 10
    channel_bits: int = 9
    input_bits: int = 10
    margin: float = 1.5
    floor: float = 0.05
    mean_bits: int = 7
    scale_bits: int = 8
    median_bits: int = 6


@dataclass(frozen=True, eq=False)
class Grid:
    """The values that the integers of a tensor stand for: in channel c, step[c] times the integer.

    Parameters
    ----------
    step : ndarray
        Value of the integer 1 in each channel, float64 [C].
    low, high : ndarray
        Smallest and largest integer of each channel, float64 [C].

    """

    step: Float64
    low: Float64
    high: Float64

    @classmethod
    def of(cls, step: Float64, low: int, high: int) -> "Grid":
        """Return a grid with the same range in every channel.

        Parameters
        ----------
        step : ndarray
            Step of each channel, float64 [C].
        low, high : int
            Smallest and largest integer.

        """
        return cls(step, np.full(len(step), float(low)), np.full(len(step), float(high)))

    @classmethod
    def join(cls, grids: Iterable["Grid"]) -> "Grid":
        """Return the grid of tensors that are concatenated along their channels.

        Parameters
        ----------
        grids : iterable of Grid
            Their grids, in that order.

        """
        parts = list(grids)
        return cls(*(np.concatenate([getattr(grid, name) for grid in parts]) for name in ("step", "low", "high")))


class Requantize(nn.Module):
    """Rounds accumulators down to the integers of a grid, and clips them. A lower limit of 0 makes it a ReLU.

    Parameters
    ----------
    grid : Grid
        The grid of the output.

    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.limits: Tensor
        self.register_buffer("limits", torch.tensor([grid.low.min(), grid.high.max()]))

    def forward(self, x: Tensor) -> Tensor:
        """Requantize accumulators, [B, C, H, W]."""
        low, high = self.limits.tolist()
        return x.floor().clamp(low, high)


class FromReal(Requantize):
    """Rounds real inputs, which are multiples of a power of two, to the nearest integers of a coarser grid.

    Parameters
    ----------
    grid : Grid
        The grid of the output.

    """

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self.factor: Tensor
        self.register_buffer("factor", _channelwise(1 / grid.step))

    def forward(self, x: Tensor) -> Tensor:
        """Quantize real inputs, [B, C, H, W]."""
        return super().forward(x * self.factor + 0.5)


class ToReal(nn.Module):
    """Rounds accumulators down to integers, and scales them to multiples of a power of two.

    Parameters
    ----------
    step : ndarray
        The power of two of each channel, float64 [C].

    """

    def __init__(self, step: Float64) -> None:
        super().__init__()
        self.step: Tensor
        self.register_buffer("step", _channelwise(step))

    def forward(self, x: Tensor) -> Tensor:
        """Dequantize accumulators, [B, C, H, W]."""
        return x.floor() * self.step


def quantize(model: ELIC, calibration: Calibration, precision: Precision | None = None) -> ELIC:
    """Return a copy of a float model that computes means and scales in integers.

    The copy has the same modules and methods. `latent_parameters` and `code_passes` take and return z_hat, y_hat, means
    and scales as real numbers, means and scales rounded to a grid. Latent means and latent scales are integers, with a
    step per channel. g_a, h_a and g_s are not changed.

    Parameters
    ----------
    model : ELIC
        The float model.
    calibration : Calibration
        Its peaks.
    precision : Precision, optional
        How fine the integers are.

    Raises
    ------
    ExportError
        If the calibration is of another model.
    InexactError
        If a layer cannot be made exact.

    """
    return _Quantizer(model, calibration, precision or Precision()).run()


class _Quantizer:
    def __init__(self, model: ELIC, calibration: Calibration, precision: Precision) -> None:
        self.model = copy.deepcopy(model)
        self.peaks = calibration.peaks
        self.precision = precision
        self.starts = np.cumsum((0, *model.spec.groups))

    def run(self) -> ELIC:
        z_hat = self._input_grid("h_s", "z_hat", np.arange(self.model.spec.N), self.precision.median_bits)
        bits = self.precision.activation_bits
        layers, latents = self._layers("h_s", self.model.h_s, z_hat, bits)
        self.model.h_s = nn.Sequential(FromReal(z_hat), *layers)
        for k, context in enumerate(self.model.contexts):
            support = [latents]
            if context.channel is not None:
                name = f"context.{k}.channel"
                decoded = Grid.join(self._y_hat(name, i) for i in context.context_slices)
                layers, channel = self._layers(name, context.channel, decoded, self.precision.channel_bits)
                context.channel = nn.Sequential(FromReal(decoded), *layers)
                support.insert(0, channel)
            spatial = self._spatial(k, context)
            name = f"context.{k}.aggregation"
            context.aggregation = self._parameter_net(name, context.aggregation, Grid.join((spatial, *support)))
            if context.anchor_aggregation is not None:
                name = f"context.{k}.anchor_aggregation"
                context.anchor_aggregation = self._parameter_net(name, context.anchor_aggregation, Grid.join(support))
        return self.model

    def _spatial(self, k: int, context: SliceContext) -> Grid:
        name, conv = f"context.{k}.spatial", context.spatial
        if not isinstance(conv, CheckerboardConv2d):
            raise InexactError(name, f"{type(conv).__name__} has no exact form")
        conv.weight = nn.Parameter(conv.masked_weight.detach(), requires_grad=False)
        anchors = self._y_hat(name, k)
        out = self._grid(name, self.precision.activation_bits, reach(name, conv, anchors), signed=True)
        context.spatial = nn.Sequential(
            FromReal(anchors), quantize_conv(name, conv, anchors, out.step), Requantize(out)
        )
        return out

    def _parameter_net(self, name: str, net: nn.Sequential, grid: Grid) -> nn.Sequential:
        *hidden, last = net
        layers, grid = self._layers(name, hidden, grid, self.precision.activation_bits)
        assert isinstance(last, nn.Conv2d)  # noqa: S101 - how elic_models builds them
        bits = np.repeat((self.precision.mean_bits, self.precision.scale_bits), last.out_channels // 2)
        step = 2.0**-bits
        return nn.Sequential(*layers, quantize_conv(f"{name}.{len(hidden)}", last, grid, step), ToReal(step))

    def _layers(self, name: str, layers: Iterable[nn.Module], grid: Grid, bits: int) -> tuple[list[nn.Module], Grid]:
        """Quantize convolutions, with the ReLUs after them. The last one, without ReLU, gets `activation_bits`."""
        source = list(layers)
        quantized: list[nn.Module] = []
        for i, layer in enumerate(source):
            if isinstance(layer, nn.ReLU):
                continue
            rectified = i + 1 < len(source)
            precision = bits if rectified else self.precision.activation_bits
            sums = reach(f"{name}.{i}", layer, grid)
            out = self._grid(f"{name}.{i + rectified}", precision, sums, signed=not rectified)
            quantized += [quantize_conv(f"{name}.{i}", layer, grid, out.step), Requantize(out)]
            grid = out
        return quantized, grid

    def _grid(self, name: str, bits: int, sums: Float64, *, signed: bool) -> Grid:
        """Return the grid of the output of a layer whose sums reach `sums`, float64 [C].

        Outputs below the 24 bits that float32 holds of these sums are rounding errors of the float checkpoint, not a
        signal. A tensor whose peak is below them is treated as dead.
        """
        clip, high = self._clip(name), 2**bits - 1
        if clip.shape != sums.shape:
            raise ExportError(f"{name}: its channels are not those of the calibration, which is of another model")
        clip = np.maximum(clip, sums / ACCUMULATOR_LIMIT)
        return Grid.of(clip / high, -high if signed else 0, high)

    def _y_hat(self, layer: str, k: int) -> Grid:
        channels = np.arange(self.starts[k], self.starts[k + 1])
        return self._input_grid(layer, "y_hat", channels, self.precision.mean_bits)

    def _input_grid(self, layer: str, name: str, channels: NDArray[np.int64], bits: int) -> Grid:
        clip = self._clip(name)
        if channels[-1] >= len(clip):
            raise ExportError(f"the calibration has {len(clip)} channels of {name}: it is of another model")
        grid = input_grid(clip[channels], self.precision.input_bits, bits)
        if not np.isfinite(grid.step).all():
            raise InexactError(layer, f"{name} gets as large as {clip[channels].max():.3g}, on a grid of 1/{2**bits}")
        return grid

    def _clip(self, name: str) -> Float64:
        if name not in self.peaks:
            raise ExportError(f"the calibration has no {name}: it is of another model")
        peaks = self.peaks[name]
        clip = self.precision.margin * np.maximum(peaks, self.precision.floor * peaks.max())
        if clip.max() > _FLOAT32.max:
            raise InexactError(name, f"{clip.max():.3g} is more than float32 holds")
        return np.where(clip >= _FLOAT32.tiny, clip, 1.0)  # a tensor that is always 0 may have any step


def input_grid(clip: Float64, input_bits: int, bits: int) -> Grid:
    """Return the grid of real inputs.

    The grid is not finer than the inputs are. The product of an input up to the clip and its factor, 1 / step, must fit
    in 24 bits, so the lowest bit of a factor is at least 2^(input_bits + bits - 24). Above that, a factor has up to
    `FACTOR_BITS` bits.

    Parameters
    ----------
    clip : ndarray
        Magnitude that each channel is clipped at, float64 [C].
    input_bits : int
        Bits of an integer, not counting the sign.
    bits : int
        Fractional bits of the inputs, which are multiples of 2^-bits.

    Returns
    -------
    Grid
        The grid. The step of a channel is infinite if no factor fits.

    """
    high = 2**input_bits - 1
    factor = high / clip
    _, exponent = np.frexp(factor)
    place = 2.0 ** np.maximum(exponent - FACTOR_BITS, input_bits + bits - (ACCUMULATOR_LIMIT.bit_length() - 1))
    factor = np.minimum(np.floor(factor / place) * place, 2.0**bits)
    return Grid.of(np.divide(1, factor, out=np.full_like(factor, np.inf), where=factor > 0), -high, high)


def reach(name: str, conv: nn.Module, grid: Grid) -> Float64:
    """Return the largest magnitude that a partial sum of a float layer can reach.

    Parameters
    ----------
    name : str
        Name of the layer, for error messages.
    conv : Module
        The float layer.
    grid : Grid
        The grid of its inputs.

    Returns
    -------
    ndarray
        Magnitude of each output channel, float64 [out].

    Raises
    ------
    InexactError
        If the layer is not a convolution without groups.
    ExportError
        If the calibration has another number of inputs.

    """
    conv, weight, bias = _opened(name, conv, grid)
    return largest_sums(weight * grid.step[None, :, None, None], bias, grid.low, grid.high, strides(conv))


def quantize_conv(name: str, conv: nn.Module, grid: Grid, out_step: Float64) -> nn.Module:
    """Quantize a convolution, from the integers of a grid to accumulators.

    0.5 is added to the bias, so that the Floor that follows rounds to the nearest integer. Channels whose unit is 1 or
    more go without it, since their accumulators are integers.

    Parameters
    ----------
    name : str
        Name of the layer, for error messages.
    conv : Module
        The float layer.
    grid : Grid
        The grid of its inputs.
    out_step : ndarray
        Value of the integer 1 in each output channel, float64 [out].

    Returns
    -------
    Module
        The layer with integer weights.

    Raises
    ------
    InexactError
        If the layer is not a convolution without groups, or if its weights are too large.
    ExportError
        If the calibration has another number of inputs.

    """
    conv, weight, bias = _opened(name, conv, grid)
    weight = weight * (grid.step[None] / out_step[:, None])[:, :, None, None]
    integers, terms, unit = _finest(name, weight, bias / out_step, grid, strides(conv))
    stored = integers * unit[:, None, None, None]
    exact = copy.deepcopy(conv)
    exact.weight = nn.Parameter(torch.from_numpy(unfolded(conv, stored)).float(), requires_grad=False)
    exact.bias = nn.Parameter(torch.from_numpy(terms * unit).float(), requires_grad=False)
    return exact


def _opened(name: str, conv: nn.Module, grid: Grid) -> tuple[nn.Conv2d | nn.ConvTranspose2d, Float64, Float64]:
    """Check that a layer has an exact form; return it with its weights and biases as `folded` does."""
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) or conv.groups != 1:
        raise InexactError(name, f"{type(conv).__name__} has no exact form")
    weight, bias = folded(conv)
    if weight.shape[1] != len(grid.step):
        raise ExportError(f"{name}: its inputs are not those of the calibration, which is of another model")
    return conv, weight, bias


def _finest(
    name: str, weight: Float64, bias: Float64, grid: Grid, stride: tuple[int, int]
) -> tuple[Float64, Float64, Float64]:
    """Return integer weights [out, in, kernel, kernel], integer biases [out], and their unit, a power of two, [out]."""
    largest = np.abs(weight).max(axis=(1, 2, 3)).clip(2.0**-60)
    _, exponent = np.frexp(OPERAND_LIMIT / largest)
    bits = np.minimum(exponent - 1, ACCUMULATOR_LIMIT.bit_length() - 2).astype(np.float64)
    while True:
        unit = 2.0**-bits
        integers = np.rint(weight / unit[:, None, None, None])
        terms = np.rint(bias / unit) + np.where(unit < 1, 0.5 / unit, 0)
        too_large = largest_sums(integers, terms, grid.low, grid.high, stride) >= ACCUMULATOR_LIMIT
        if not too_large.any():
            return integers, terms, unit
        bits = bits - too_large
        if bits.min() < COARSEST_BITS:
            raise InexactError(name, f"the weights of channel {int(bits.argmin())} are too large for its outputs")


def largest_sums(integers: Float64, terms: Float64, low: Float64, high: Float64, stride: tuple[int, int]) -> Float64:
    """Return the largest magnitude that a partial sum of an accumulator can reach.

    Parameters
    ----------
    integers : ndarray
        Integer weights, float64 [out, in, kernel, kernel].
    terms : ndarray
        Integer biases, float64 [out].
    low, high : ndarray
        Smallest and largest value of each input, float64 [in].
    stride : tuple of int
        Strides of the taps along H and W, as `strides` returns them.

    Returns
    -------
    ndarray
        Magnitude of each output channel, float64 [out].

    """
    low, high = (limit.reshape(1, -1, 1, 1) for limit in (low, high))
    up = np.maximum(integers * high, integers * low).clip(min=0)
    down = -np.minimum(integers * high, integers * low).clip(max=0)
    sums = [
        part[:, :, row :: stride[0], column :: stride[1]].sum(axis=(1, 2, 3)) + extra
        for part, extra in ((up, terms.clip(min=0)), (down, -terms.clip(max=0)))
        for row in range(stride[0])
        for column in range(stride[1])
    ]
    return np.asarray(np.max(sums, axis=0), np.float64)


def strides(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, int]:
    """Return the distance, along H and W, of the kernel's taps that one output adds.

    Parameters
    ----------
    conv : Conv2d or ConvTranspose2d
        The layer. An output of a transposed convolution adds every stride-th tap, one of a convolution adds all.

    """
    return (conv.stride[0], conv.stride[1]) if isinstance(conv, nn.ConvTranspose2d) else (1, 1)


def folded(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Float64, Float64]:
    """Return the weights and biases of a layer in one order for both kinds.

    Parameters
    ----------
    conv : Conv2d or ConvTranspose2d
        The layer.

    Returns
    -------
    tuple of ndarray
        Weights, float64 [out, in, kernel, kernel], and biases, float64 [out], which are 0 for a layer without.

    """
    weight = conv.weight.detach().double().numpy()
    bias = np.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().double().numpy()
    return (weight.swapaxes(0, 1) if isinstance(conv, nn.ConvTranspose2d) else weight), bias


def unfolded(conv: nn.Conv2d | nn.ConvTranspose2d, weight: Float64) -> Float64:
    """Return weights in the order in which a layer stores them; the inverse of `folded`.

    Parameters
    ----------
    conv : Conv2d or ConvTranspose2d
        The layer.
    weight : ndarray
        Weights, float64 [out, in, kernel, kernel].

    """
    return np.ascontiguousarray(weight.swapaxes(0, 1) if isinstance(conv, nn.ConvTranspose2d) else weight)


def _channelwise(values: Float64) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[None, :, None, None]
