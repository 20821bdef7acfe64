"""The proof that a quantized model is exact: read from its layers as they are stored.

A layer is exact in float32, in whatever order and with however many partial sums it is
computed, if its weights are integers times one power of two per output channel, of 11
bits like its inputs, and all its positive terms together, and all its negative ones,
stay below 2^24 of that unit. Winograd and FFT convolutions, which form other sums, and
arithmetic of fewer than 24 bits are outside of it: the runtime's conformance check
finds those.
"""

import copy
import itertools
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from elic_models import ELIC
from torch import Tensor, nn

from elic_export.errors import ExportError
from elic_export.quantize import (
    ACCUMULATOR_LIMIT,
    FACTOR_BITS,
    INPUT_BITS,
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

    terms: products that one output adds. largest_weight: in units, over channels.
    largest_sum: of any partial sum, in units of its output channel; below 2^24.
    """

    layer: str
    terms: int
    largest_weight: int
    largest_sum: int


def prove(model: ELIC, medians: Float64) -> list[LayerProof]:
    """Check every layer that decides symbols. Raises ExportError, naming the first that is not exact.

    medians: [N], of z; with the steps of the means they say what z_hat and y_hat are multiples of.
    """
    grids = [_units(medians[None, :])[0]]
    layers = dict(model.named_modules())
    grids += [layer.step.double().min().item() for layer in layers.values() if isinstance(layer, ToReal)]
    for name, layer in layers.items():
        if isinstance(layer, FromReal):
            _check_inputs(name, layer, min(grids))
    return [_prove_layer(name, conv, limits) for name, conv, limits in _layers(model)]


def _check_inputs(name: str, layer: FromReal, grid: float) -> None:
    """Multiples of `grid` with `INPUT_BITS` times a factor do not round, and larger ones are beyond the clip."""
    factor = layer.factor.double().numpy()
    _check_factors(name, layer.factor, FACTOR_BITS)
    if (grid * 2**INPUT_BITS * factor <= np.abs(layer.limits.double().numpy()).max()).any():
        raise ExportError(f"{name}: not exact: an input that is not clipped can have more than {INPUT_BITS} bits")


def _layers(model: ELIC) -> Generator[tuple[str, Convolution, Float64], None, None]:
    """Every convolution with the range of its inputs, float64 [in, 2]."""
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
    """The convolutions of a sequence; returns the range of what it gives, empty if it has none."""
    channels = 0
    for i, layer in enumerate(layers.children()):
        at = f"{name}.{i}"
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            if limits is None:
                raise ExportError(f"{at}: not exact: its inputs have no bound")
            yield at, layer, limits
            limits, channels = None, layer.out_channels
        elif isinstance(layer, Requantize):
            if isinstance(layer, FromReal):
                channels = layer.factor.numel()
            limits = np.tile(layer.limits.double().numpy(), (channels, 1))
        elif isinstance(layer, ToReal):
            _check_factors(at, layer.step, 1)
        else:
            raise ExportError(f"{at}: not exact: {type(layer).__name__} has no exact form")
    return np.empty((0, 2)) if limits is None else limits


def _check_factors(name: str, factors: Tensor, bits: int) -> None:
    """Every factor is of so few bits that its product with what comes in does not round."""
    fraction, _ = np.frexp(factors.double().numpy())
    if (np.rint(fraction * 2**bits) != fraction * 2**bits).any():
        raise ExportError(f"{name}: not exact: a factor has more than {bits} bits")


def _prove_layer(name: str, conv: Convolution, limits: Float64) -> LayerProof:
    weight, bias = folded(conv)
    if len(limits) != weight.shape[1]:
        raise ExportError(f"{name}: not exact: {len(limits)} of its {weight.shape[1]} inputs have a bound")
    unit = _units(np.concatenate((weight.reshape(len(weight), -1), bias[:, None]), axis=1))
    integers = weight / unit[:, None, None, None]
    largest_weight, largest_input = np.abs(integers).max(), np.abs(limits).max()
    if (limits != np.rint(limits)).any():
        raise ExportError(f"{name}: not exact: the limits of its inputs are no integers")
    if largest_weight > OPERAND_LIMIT or largest_input > OPERAND_LIMIT:
        raise ExportError(f"{name}: not exact: a factor has more than 11 bits")
    sums = largest_sums(integers, bias / unit, limits[:, 0], limits[:, 1], strides(conv))
    if not sums.max() < ACCUMULATOR_LIMIT:
        raise ExportError(
            f"{name}: not exact: channel {int(sums.argmax())} can add up to {sums.max():.0f} units, 2^24 or more"
        )
    _worst_case(name, conv, int(sums.argmax()), limits)
    stride = strides(conv)
    terms = weight.shape[1] * -(-weight.shape[2] // stride[0]) * -(-weight.shape[3] // stride[1])
    return LayerProof(name, terms, int(largest_weight), int(sums.max()))


def _units(values: Float64) -> Float64:
    """The largest power of two that divides all values of a row: [out, n] -> [out]."""
    fraction, exponent = np.frexp(values)
    integers = np.ldexp(fraction, 53).astype(np.int64)
    lowest = np.ldexp((integers & -integers).astype(np.float64), exponent - 53)
    return np.asarray(np.where(values == 0, np.inf, lowest).min(axis=1).clip(max=1.0), np.float64)


@torch.inference_mode()
def _worst_case(name: str, conv: Convolution, channel: int, limits: Float64) -> None:
    """Float32 equals float64 where the inputs drive a channel as far up, and down, as they can."""
    weight = torch.from_numpy(folded(conv)[0][channel].copy())  # [in, kernel, kernel]
    stride = strides(conv)
    double = copy.deepcopy(conv).double()
    for row, column in itertools.product(range(stride[0]), range(stride[1])):
        taps = weight[:, row :: stride[0], column :: stride[1]]
        if isinstance(conv, nn.ConvTranspose2d):
            taps = taps.flip(1, 2)  # it meets its inputs in reverse
        low, high = (torch.from_numpy(limits[:, i].copy())[:, None, None].expand_as(taps) for i in (0, 1))
        for upwards in (True, False):
            x = torch.where((taps > 0) == upwards, high, low)[None]
            if not torch.equal(conv(x.float()).double(), double(x)):
                raise ExportError(f"{name}: not exact: float32 and float64 differ at the bound")
