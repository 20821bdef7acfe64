"""Likelihoods of symbols by operators that export, accurate where they are small.

CompressAI's own ask for erfc, which ONNX does not have, and permute z, which does not
trace with open dimensions. Erf and Sigmoid have an *absolute* accuracy of 1e-7 in most
runtimes: of a likelihood of 1e-6, a bit or more would be wrong.
"""

import math

import torch
from elic_models import ELIC
from torch import Tensor, nn
from torch.nn.functional import conv2d, softplus

LIKELIHOOD_BOUND = 1e-9
"""CompressAI's (entropy_models.py, EntropyModel)."""

_ERFC = (
    *(-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806),
    *(0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277),
)
"""erfc(x) = t exp(-x^2 + P(t)), t = 1 / (1 + x/2): Numerical Recipes in C, 2nd edition, section 6.2, error 1.2e-7
*of its value* for x >= 0. These are the coefficients of P, of t^0 first."""


class GaussianLikelihood(nn.Module):
    """P(symbol) under a Gaussian around 0 (CompressAI's GaussianConditional, its mean taken off already)."""

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        self.bound = float(model.gaussian_conditional.lower_bound_scale.bound)

    def forward(self, symbols: Tensor, scales: Tensor) -> Tensor:
        """2 x [B, C, H, W] -> [B, C, H, W], at least 1e-9."""
        distance = symbols.abs()
        unit = math.sqrt(0.5) / scales.clamp(min=self.bound)
        # Below the mean, where the tail is: both values are small, and so is their difference's error.
        upper, lower = (0.5 - distance) * unit, (-0.5 - distance) * unit
        return (_half_erfc_below(upper) - _half_erfc(-lower)).clamp(min=LIKELIHOOD_BOUND)


def _half_erfc(x: Tensor) -> Tensor:
    """erfc(x) / 2 for x >= 0."""
    t = 1 / (1 + 0.5 * x)
    polynomial = _ERFC[-1] * t + _ERFC[-2]
    for coefficient in reversed(_ERFC[:-2]):
        polynomial = polynomial * t + coefficient
    return 0.5 * t * torch.exp(polynomial - x * x)


def _half_erfc_below(x: Tensor) -> Tensor:
    """erfc(-x) / 2 for any x: the value itself for x <= 0, and 1 less it above."""
    sign = x.sign()
    return 0.5 * (1 + sign) - sign * _half_erfc(x.abs())


class FactorizedLikelihood(nn.Module):
    """P(symbol of z) by its channel's distribution (CompressAI's EntropyBottleneck).

    Its little networks, one per channel, are convolutions with as many groups as channels.
    """

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        bottleneck = model.entropy_bottleneck
        self.channels = int(bottleneck.channels)
        matrices = [softplus(matrix.detach().double()).float() for matrix in bottleneck.matrices]
        biases = [bias.detach() for bias in bottleneck.biases]
        self.weights = nn.ParameterList(_frozen(m.reshape(-1, m.shape[2], 1, 1)) for m in matrices)
        self.biases = nn.ParameterList(_frozen(bias.reshape(-1)) for bias in biases)
        self.factors = nn.ParameterList(_frozen(f.detach().tanh().reshape(1, -1, 1, 1)) for f in bottleneck.factors)

    def forward(self, z_hat: Tensor) -> Tensor:
        """[B, N, H, W] -> [B, N, H, W], at least 1e-9."""
        lower, upper = self._logits(z_hat - 0.5), self._logits(z_hat + 0.5)
        # CompressAI takes the difference on the side of 0 where both sigmoids are small. So does
        # this, without a sign: in fp16 saturated logits add up to exactly 0, and so would everything.
        middle, half = (lower + upper).abs() / 2, (upper - lower) / 2
        return (_sigmoid(half - middle) - _sigmoid(-half - middle)).clamp(min=LIKELIHOOD_BOUND)

    def _logits(self, values: Tensor) -> Tensor:
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = conv2d(values, weight, bias, groups=self.channels)
            if i < len(self.factors):
                values = values + self.factors[i] * values.tanh()
        return values


def _sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def _frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.clone().contiguous(), requires_grad=False)
