"""The proof that a quantized model is exact, from the numbers that its layers store.

A layer is exact in float32, in whatever order its terms are added, if

- its weights are integers times one power of two per output channel, the unit of that channel;
- these integers, and its inputs, have at most 11 bits;
- the sum of all terms that can be positive stays below 2^24 units, and so does that of all that can be negative.

The proof does not cover Winograd and FFT convolutions, which add other terms, or arithmetic with fewer than 24 bits.
The runtime's conformance check finds those.
"""

import copy
import itertools
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from elic_models import ELIC
from elic_runtime.steps import STEP_UNIT
from torch import nn

from elic_export.errors import InexactError
from elic_export.exact.quantize import (
    ACCUMULATOR_LIMIT,
    OPERAND_LIMIT,
    Float64,
    FromReal,
    Requantize,
    ToReal,
    folded,
    largest_sums,
    strides,
)

Convolution = nn.Conv2d | nn.ConvTranspose2d
Layers = Generator[tuple[str, Convolution, Float64], None, Float64]


@dataclass(frozen=True)
class LayerProof:
    """What was proved of a layer.

    Parameters
    ----------
    layer : str
        Name of the module.
    terms : int
        Number of products that one output adds.
    largest_weight : int
        Largest magnitude of a weight, in units of its output channel.
    largest_sum : int
        Largest magnitude of a partial sum, in units of its output channel; below 2^24.

    """

    layer: str
    terms: int
    largest_weight: int
    largest_sum: int


def prove(model: ELIC, medians: Float64) -> list[LayerProof]:
    """Prove that every layer of h_s and the context model is exact.

    Parameters
    ----------
    model : ELIC
        The quantized model.
    medians : ndarray
        Medians of z, float64 [N]. z_hat is a median plus an integer symbol.

    Returns
    -------
    list of LayerProof
        The proof of each convolution.

    Raises
    ------
    InexactError
        If a layer is not exact. The message names the first one.

    """
    z_grid, y_grid = _units(medians[None, :]).clip(max=1.0).item(), _mean_grid(model)
    for name, layer in model.named_modules():
        if isinstance(layer, FromReal):
            _check_inputs(name, layer, z_grid if name.startswith("h_s.") else y_grid)
    return [_prove_layer(name, conv, limits) for name, conv, limits in _layers(model)]


def _mean_grid(model: ELIC) -> float:
    """Return the grid of y_hat: a mean, from the first half of a parameter net's output, plus a symbol times a step."""
    steps = [1 / STEP_UNIT]
    for context in model.contexts:
        for net in (context.aggregation, context.anchor_aggregation):
            if net is not None:
                steps += [layer.step[:, : context.channels].min().item() for layer in net if isinstance(layer, ToReal)]
    return min(steps)


def _check_inputs(name: str, layer: FromReal, grid: float) -> None:
    """Check that a layer maps multiples of `grid` to the same integers on every machine.

    All products of an input and its factor are multiples of one power of two. Up to the clip, they and their sums with
    0.5 are below 2^24 times that power, so float32 holds them exactly, with or without a fused multiply-add. Beyond the
    clip they may be rounded, but rounding never crosses a number that float32 holds, such as the clip.
    """
    factor = layer.factor.double().numpy().reshape(-1, 1)
    if not (factor > 0).all():
        raise InexactError(name, "a factor is not positive")
    unit = (grid * _units(factor)).clip(max=0.5)
    largest = np.abs(layer.limits.double().numpy()).max() + 0.5
    if not (largest < ACCUMULATOR_LIMIT * unit).all():
        channel = int(unit.argmin())
        raise InexactError(name, f"an input of channel {channel} that is not clipped can have more than 24 bits")


def _layers(model: ELIC) -> Generator[tuple[str, Convolution, Float64], None, None]:
    """Yield every convolution: its name, the layer, and the smallest and largest value of each input, [in, 2]."""
    latents = yield from _sequence("h_s", model.h_s, None)
    for k, context in enumerate(model.contexts):
        support = [latents]
        if context.channel is not None:
            support.insert(0, (yield from _sequence(f"context.{k}.channel", context.channel, None)))
        spatial = yield from _sequence(f"context.{k}.spatial", context.spatial, None)
        yield from _sequence(f"context.{k}.aggregation", context.aggregation, np.concatenate((spatial, *support)))
        if context.anchor_aggregation is not None:
            limits = np.concatenate(support)
            yield from _sequence(f"context.{k}.anchor_aggregation", context.anchor_aggregation, limits)


def _sequence(name: str, layers: nn.Module, limits: Float64 | None) -> Layers:
    """Yield the convolutions of a sequence; return the range of its outputs, which is empty if they have no bound."""
    channels = 0
    for i, layer in enumerate(layers.children()):
        at = f"{name}.{i}"
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            if limits is None:
                raise InexactError(at, "its inputs have no bound")
            yield at, layer, limits
            limits, channels = None, layer.out_channels
        elif isinstance(layer, Requantize):
            if isinstance(layer, FromReal):
                channels = layer.factor.numel()
            limits = np.tile(layer.limits.double().numpy(), (channels, 1))
        elif isinstance(layer, ToReal):
            if (_units(layer.step.double().numpy().reshape(-1, 1)) != layer.step.numpy().ravel()).any():
                raise InexactError(at, "a step is not a power of two")
        else:
            raise InexactError(at, f"{type(layer).__name__} has no exact form")
    return np.empty((0, 2)) if limits is None else limits


def _prove_layer(name: str, conv: Convolution, limits: Float64) -> LayerProof:
    weight, bias = folded(conv)
    if len(limits) != weight.shape[1]:
        raise InexactError(name, f"{len(limits)} of its {weight.shape[1]} inputs have a bound")
    unit = _units(np.concatenate((weight.reshape(len(weight), -1), bias[:, None]), axis=1))
    integers = weight / unit[:, None, None, None]
    largest_weight, largest_input = np.abs(integers).max(), np.abs(limits).max()
    if (limits != np.rint(limits)).any():
        raise InexactError(name, "the limits of its inputs are not integers")
    if largest_weight > OPERAND_LIMIT or largest_input > OPERAND_LIMIT:
        raise InexactError(name, "a factor has more than 11 bits")
    sums = largest_sums(integers, bias / unit, limits[:, 0], limits[:, 1], strides(conv))
    if not sums.max() < ACCUMULATOR_LIMIT:
        channel = int(sums.argmax())
        raise InexactError(name, f"channel {channel} can add up to {sums.max():.0f} units, 2^24 or more")
    _worst_case(name, conv, int(sums.argmax()), limits)
    stride = strides(conv)
    terms = weight.shape[1] * -(-weight.shape[2] // stride[0]) * -(-weight.shape[3] // stride[1])
    return LayerProof(name, terms, int(largest_weight), int(sums.max()))


def _units(values: Float64) -> Float64:
    """Return the largest power of two that divides all values of a row, or 1 if all are 0: [out, n] -> [out]."""
    fraction, exponent = np.frexp(values)
    integers = np.ldexp(fraction, 53).astype(np.int64)
    lowest = np.ldexp((integers & -integers).astype(np.float64), exponent - 53)
    unit = np.where(values == 0, np.inf, lowest).min(axis=1)
    return np.asarray(np.where(np.isinf(unit), 1.0, unit), np.float64)


@torch.inference_mode()
def _worst_case(name: str, conv: Convolution, channel: int, limits: Float64) -> None:
    """Check that float32 equals float64 for the inputs that make a channel as large, and as small, as possible."""
    weight = torch.from_numpy(folded(conv)[0][channel].copy())  # [in, kernel, kernel]
    stride = strides(conv)
    double = copy.deepcopy(conv).double()
    for row, column in itertools.product(range(stride[0]), range(stride[1])):
        taps = weight[:, row :: stride[0], column :: stride[1]]
        if isinstance(conv, nn.ConvTranspose2d):
            taps = taps.flip(1, 2)  # a transposed convolution applies its kernel in reverse
        low, high = (torch.from_numpy(limits[:, i].copy())[:, None, None].expand_as(taps) for i in (0, 1))
        for upwards in (True, False):
            x = torch.where((taps > 0) == upwards, high, low)[None]
            if not torch.equal(conv(x.float()).double(), double(x)):
                raise InexactError(name, "float32 and float64 differ at the bound")
