"""Likelihoods of symbols, by operators that ONNX has, and accurate where they are small.

CompressAI's own modules cannot be exported: they use erfc, which ONNX does not have, and permute z, which cannot be
traced with open dimensions. Erf and Sigmoid are no substitute: most runtimes compute them with an *absolute* error of
1e-7, so a likelihood of 1e-6 would be off by a tenth.
"""

import math

import torch
from elic_models import ELIC
from torch import Tensor, nn
from torch.nn.functional import conv2d, softplus

LIKELIHOOD_BOUND = 1e-9
"""Smallest likelihood, as in CompressAI (entropy_models.py, EntropyModel)."""

_ERFC = (
    *(-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806),
    *(0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277),
)
"""Coefficients of P, from t^0 upwards, in erfc(x) = t exp(-x^2 + P(t)) with t = 1 / (1 + x/2). For x >= 0, the
*relative* error is at most 1.2e-7 (Numerical Recipes in C, 2nd edition, section 6.2)."""


class GaussianLikelihood(nn.Module):
    """Likelihood of the symbols of y, as CompressAI's GaussianConditional defines it.

    Parameters
    ----------
    model : ELIC
        The model whose lower bound of scales holds.

    """

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        self.bound = float(model.gaussian_conditional.lower_bound_scale.bound)

    def forward(self, symbols: Tensor, scales: Tensor) -> Tensor:
        """Return the likelihoods of symbols under Gaussians with mean 0.

        Parameters
        ----------
        symbols : Tensor
            The symbols, which are y minus its mean, rounded: [B, C, H, W].
        scales : Tensor
            Standard deviations, [B, C, H, W].

        Returns
        -------
        Tensor
            Likelihoods, [B, C, H, W], at least 1e-9.

        """
        distance = symbols.abs()
        unit = math.sqrt(0.5) / scales.clamp(min=self.bound)
        # In the lower tail both values are small, and so is the error of their difference.
        upper, lower = (0.5 - distance) * unit, (-0.5 - distance) * unit
        return (_half_erfc_below(upper) - _half_erfc(-lower)).clamp(min=LIKELIHOOD_BOUND)


def _half_erfc(x: Tensor) -> Tensor:
    """Return erfc(x) / 2 for x >= 0."""
    t = 1 / (1 + 0.5 * x)
    polynomial = _ERFC[-1] * t + _ERFC[-2]
    for coefficient in reversed(_ERFC[:-2]):
        polynomial = polynomial * t + coefficient
    return 0.5 * t * torch.exp(polynomial - x * x)


def _half_erfc_below(x: Tensor) -> Tensor:
    """Return erfc(-x) / 2 for any x, which is 1 - erfc(x) / 2 for x > 0."""
    sign = x.sign()
    return 0.5 * (1 + sign) - sign * _half_erfc(x.abs())


class FactorizedLikelihood(nn.Module):
    """Likelihood of the symbols of z, as CompressAI's EntropyBottleneck defines it.

    The bottleneck has a small network per channel. These are computed by 1x1 convolutions with a group per channel.

    Parameters
    ----------
    model : ELIC
        The model whose bottleneck holds the networks.

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
        """Return the likelihoods of hyper-latents.

        Parameters
        ----------
        z_hat : Tensor
            Decoded hyper-latents, [B, N, H, W].

        Returns
        -------
        Tensor
            Likelihoods, [B, N, H, W], at least 1e-9.

        """
        lower, upper = self._logits(z_hat - 0.5), self._logits(z_hat + 0.5)
        # Like CompressAI, take the difference on the side of 0 where both sigmoids are small, but without a sign(): in
        # fp16, the sum of two saturated logits can be exactly 0, and their sign would make the likelihood 0.
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
