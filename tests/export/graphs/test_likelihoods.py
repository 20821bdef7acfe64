"""Likelihoods against float64 and against CompressAI, in ONNX Runtime, where they are small above all."""

import io
import math

import numpy as np
import onnxruntime
import pytest
import torch
from elic_export.graphs.likelihoods import LIKELIHOOD_BOUND, FactorizedLikelihood, GaussianLikelihood
from elic_models.elic import scale_table


def run(module, inputs, opset=17):
    """What the exported module gives, and which operators it has."""
    file = io.BytesIO()
    with torch.inference_mode():
        torch.onnx.export(module, inputs, file, opset_version=opset, dynamo=False)
    session = onnxruntime.InferenceSession(file.getvalue())
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, (t.numpy() for t in inputs), strict=True)))[0]


def true_gaussian(symbols, scales):
    """In float64 by the C library's erfc."""
    erfc = np.vectorize(math.erfc)
    upper, lower = (0.5 - abs(symbols)) / scales, (-0.5 - abs(symbols)) / scales
    return 0.5 * (erfc(-upper / math.sqrt(2)) - erfc(-lower / math.sqrt(2)))


@pytest.mark.parametrize("opset", [11, 17, 20])
def test_gaussian_likelihoods_are_accurate_where_they_are_small(checkpoint, opset):
    scales = np.append(scale_table().numpy(), [0.01, 0.11, 3.7]).astype(np.float32)
    symbols = np.concatenate([np.arange(-40, 41), [-1000, 1000, 300]]).astype(np.float32)
    grid = [torch.from_numpy(a.copy())[None, None] for a in np.meshgrid(symbols, scales)]
    found = run(GaussianLikelihood(checkpoint.model).eval(), tuple(grid), opset)[0, 0].astype(np.float64)
    expected = true_gaussian(symbols[None].astype(np.float64), np.maximum(scales, np.float32(0.11))[:, None])
    bound = np.float32(LIKELIHOOD_BOUND)
    assert found.min() == bound
    small = expected > 1.01e-9
    assert (expected[small] < 1e-6).sum() > 100  # tails are in it
    tails = small & (expected < 1e-6) & (abs(symbols) <= 40)
    # Measured: 6e-6 there. Erf, accurate to 1e-7 of 1, would be off by a tenth and more at 1e-6.
    assert abs(found[tails] / expected[tails] - 1).max() < 1e-5
    # A wide Gaussian's is a difference of two values that are nearly equal in float32: 9.5e-5, CompressAI's 2.2e-5.
    assert abs(found[small] / expected[small] - 1).max() < 1.5e-4
    assert (found[expected < 0.99e-9] == bound).all()


def test_gaussian_likelihoods_are_compressais(checkpoint):
    generator = torch.Generator().manual_seed(0)
    symbols = (torch.randn(1, 8, 16, 16, generator=generator) * 3).round()
    scales = torch.randn(1, 8, 16, 16, generator=generator).exp()
    conditional = checkpoint.model.gaussian_conditional
    expected = conditional(symbols, scales, torch.zeros_like(symbols), training=False)[1].numpy()
    found = run(GaussianLikelihood(checkpoint.model).eval(), (symbols, scales))
    assert abs(found / expected - 1).max() < 2e-5
    assert abs(np.log2(found).sum() / np.log2(expected).sum() - 1) < 1e-6


@pytest.mark.parametrize("opset", [11, 17, 20])
def test_factorized_likelihoods_are_compressais(trained_checkpoint, opset):
    """Of a learned prior, whose tails go down to the bound."""
    bottleneck = trained_checkpoint.model.entropy_bottleneck
    symbols = torch.arange(-30, 31).float()[None, None, :, None].expand(1, len(bottleneck.quantiles), 61, 1)
    z_hat = (symbols + bottleneck.quantiles[:, 0, 1][None, :, None, None]).detach().contiguous()
    found = run(FactorizedLikelihood(trained_checkpoint.model).eval(), (z_hat,), opset)
    with torch.no_grad():
        exact = bottleneck.double()
        expected = exact(z_hat.double(), training=False)[1].numpy()
        bottleneck.float()
    assert found.min() == np.float32(LIKELIHOOD_BOUND)
    small = expected > 1.1e-9
    assert (expected[small] < 1e-5).sum() > 100
    assert abs(found[small] / expected[small] - 1).max() < 1e-3
    assert abs(np.log2(found).sum() / np.log2(expected).sum() - 1) < 1e-5
