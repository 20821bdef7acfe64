"""Exact arithmetic far from a trained model: untrained, dead, silent and loud ones.

Quantizer and proof must agree on all of them, and float32 must compute what integers do.
"""

import copy
import itertools
from fractions import Fraction

import numpy as np
import pytest
import seeded
import torch
from compressai.models.sensetime import Elic2022Chandelier, Elic2022Official
from elic_export.bundle import export_bundle
from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.exact import proof as exactness
from elic_export.exact.calibration import Calibration, calibrate
from elic_export.exact.deployment import deploy_exact
from elic_export.exact.quantize import FromReal, Grid, folded, input_grid, quantize_conv, reach
from elic_export.known_input import known_trace
from elic_models import ELIC, ModelSpec, load_checkpoint
from elic_models.checkpoints.keys import checkpoint_keys
from elic_runtime import Codec
from elic_runtime.manifest import ModelInfo
from elic_runtime.shapes import Extent, Shape
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

SPEC = ModelSpec(16, 24, (8, 16), "chandelier")
FRESH = {"official": Elic2022Official, "chandelier": Elic2022Chandelier}
SHAPE = Shape(height=64, width=128)


@pytest.fixture(scope="module")
def picture(cat):
    return cat[100:164, 150:278]


@pytest.fixture(scope="module")
def seeded_checkpoint(tmp_path_factory):
    keys = {checkpoint_keys(name, SPEC)[0]: p.shape for name, p in ELIC(SPEC).named_parameters()}
    path = tmp_path_factory.mktemp("seeded") / "seeded.pth"
    torch.save(seeded.tensors(keys), path)
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def peaks(seeded_checkpoint, picture):
    """Its calibration."""
    return calibrate(seeded_checkpoint.model, [picture]).peaks


@pytest.fixture
def small(seeded_checkpoint):
    """A small model that a test may change."""
    return copy.deepcopy(seeded_checkpoint)


def round_trip(deployment, picture, folder):
    """Export, load, which asks for conformance, code and decode. The codec itself compares symbols."""
    extent = Extent.one(SHAPE.height, SHAPE.width)
    rewrites = ("merge_g_a_h_a", "deconv_to_depth_to_space")
    export_bundle(deployment, ExportConfig(form="static", shape=extent, rewrites=rewrites), folder)
    codec = Codec.load(folder)
    data = codec.compress(picture)
    decoded = Codec.load(folder).decompress(data)
    assert decoded.shape == picture.shape
    return data, decoded


def require_exact(deployment, spread):
    """Float32 and float64 give the same for symbols of z and y of this spread, or `known_trace` raises."""
    spec = deployment.model.spec
    rng = np.random.default_rng(0)
    patches = tuple(
        np.rint(rng.laplace(size=(channels, size, size)) * spread).astype(np.int32)
        for channels, size in ((spec.N, 4), (spec.M, 16))
    )
    info = ModelInfo(
        variant=spec.variant,
        N=spec.N,
        M=spec.M,
        latent_channels=spec.latent_channels,
        groups=spec.groups,
        anchor_parity=spec.wiring.anchor_parity,
        context_slices=tuple(spec.wiring.context_slices(k) for k in range(len(spec.groups))),
    )
    return known_trace(deployment, info, SHAPE, 1, patches)


@pytest.mark.parametrize("kind", FRESH)
def test_an_untrained_model_exports_and_codes(kind, picture, tmp_path):
    """CompressAI's initial weights: h_a gives less than half, every z_hat is 0, and h_s could give far more."""
    torch.manual_seed(0)
    model = FRESH[kind](N=SPEC.N, M=SPEC.M, groups=list(SPEC.groups)).eval()
    model.update()
    torch.save(model.state_dict(), tmp_path / "fresh.pth")
    checkpoint = load_checkpoint(tmp_path / "fresh.pth")
    calibration = calibrate(checkpoint.model, [picture])
    assert calibration.peaks["z_hat"].max() == 0
    deployment = deploy_exact(checkpoint, calibration)
    assert all(proof.largest_sum < 2**24 for proof in deployment.proofs)
    conv = deployment.model.h_s[1]
    units = exactness._units(folded(conv)[0].reshape(conv.out_channels, -1))
    assert units.max() > 1
    require_exact(deployment, 100.0)
    round_trip(deployment, picture, tmp_path / "bundle")


@torch.no_grad()
def dead_channel(model):
    model.h_s[0].bias[3] = -1e3


@torch.no_grad()
def dead_layer(model):
    model.h_s[2].bias[:] = -1e3
    model.contexts[1].channel[0].bias[:] = -1e3


@torch.no_grad()
def silent_y(model):
    for parameter in model.g_a[-1].parameters():
        parameter.zero_()
    for context in model.contexts:
        for parameter in context.aggregation[-1].parameters():
            parameter.zero_()


@torch.no_grad()
def silent_layers(model):
    for layer in (model.h_s[-1], model.contexts[1].spatial, model.contexts[1].channel[4]):
        for parameter in layer.parameters():
            parameter.zero_()


@torch.no_grad()
def whispering_y(model):
    """y_hat is below its grid, and what the context nets make of it far below."""
    for parameter in (*model.g_a[-1].parameters(), *model.h_s[-1].parameters()):
        parameter.mul_(1e-9)
    for context in model.contexts:
        for layer in (context.spatial, *(context.channel or ()), *context.aggregation):
            if getattr(layer, "bias", None) is not None:
                layer.bias.zero_()


@torch.no_grad()
def enormous_weights(model):
    """What is made small is made large again."""
    for quiet, loud in ((model.h_s[0], model.h_s[2]), (model.contexts[1].channel[0], model.contexts[1].channel[2])):
        quiet.weight *= 1e-15
        quiet.bias *= 1e-15
        loud.weight *= 1e15


@torch.no_grad()
def enormous_weights_on_silence(model):
    """h_s never sees z_hat but 0, in calibration."""
    for parameter in model.h_a[-1].parameters():
        parameter.zero_()
    model.entropy_bottleneck.quantiles[:, :, 1] = 0
    model.h_s[0].weight *= 1e15


@torch.no_grad()
def below_float32(model):
    for parameter in model.h_s[0].parameters():
        parameter.mul_(1e-40)


@pytest.mark.parametrize(
    "change",
    [
        dead_channel,
        dead_layer,
        silent_y,
        silent_layers,
        whispering_y,
        enormous_weights,
        enormous_weights_on_silence,
        below_float32,
    ],
)
def test_dead_silent_and_loud_models_are_exact(small, picture, change):
    change(small.model)
    deployment = deploy_exact(small, calibrate(small.model, [picture]))
    for spread in (3.0, 1000.0):
        require_exact(deployment, spread)


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e-6])
def test_tensors_that_were_silent_in_calibration(seeded_checkpoint, peaks, value):
    """Every other one, those between, and all."""
    for silent in (list(peaks)[::2], list(peaks)[1::2], peaks):
        changed = peaks | {name: np.full_like(peaks[name], value) for name in silent}
        assert deploy_exact(seeded_checkpoint, Calibration(changed)).proofs


@pytest.mark.parametrize(
    ("name", "peak"),
    [("y_hat", peak) for peak in (345, 680, 2000, 87000)] + [("z_hat", peak) for peak in (345, 1300, 2000, 170000)],
)
def test_large_latents_are_exact(seeded_checkpoint, peaks, name, peak):
    """As large as their factors have places for; the symbols reach the clip, and go beyond it."""
    peaks = peaks | {name: peaks[name] * (peak / peaks[name].max())}
    deployment = deploy_exact(seeded_checkpoint, Calibration(peaks))
    for spread in (peak / 4, peak * 4):
        require_exact(deployment, spread)


def louder(layers, channels, gain):
    """The same layers, and what they give times a gain."""
    scale = nn.Conv2d(channels, channels, 1, bias=False).requires_grad_(False)
    scale.weight[:] = gain * torch.eye(channels)[:, :, None, None]
    return nn.Sequential(*layers, scale)


def test_a_file_of_large_symbols_comes_back(small, picture, tmp_path):
    """Peaks of 2000, in the model and in the file: g_a and h_a are louder, h_s and the context follow."""
    model = small.model
    model.g_a = louder(model.g_a, SPEC.M, 2000 / calibrate(model, [picture]).peaks["y_hat"].max())
    model.h_a = louder(model.h_a, SPEC.N, 2000 / calibrate(model, [picture]).peaks["z_hat"].max())
    calibration = calibrate(model, [picture])
    assert all(1800 < calibration.peaks[name].max() < 2200 for name in ("y_hat", "z_hat"))
    deployment = deploy_exact(small, calibration)
    require_exact(deployment, 500.0)
    round_trip(deployment, picture, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("name", "peak", "message"),
    [
        ("y_hat", 90000, r"^context\.0\.spatial: not exact: y_hat gets as large as 1\.35e\+05, .*`arithmetic: float`"),
        ("z_hat", 180000, r"^h_s: not exact: z_hat gets as large as 2\.7e\+05, .*`arithmetic: float`"),
        ("h_s.1", 1e39, r"^h_s\.1: not exact: 1\.5e\+39 is more than float32 holds.*`arithmetic: float`"),
    ],
)
def test_what_exact_arithmetic_cannot_hold_is_refused(seeded_checkpoint, peaks, name, peak, message):
    with pytest.raises(ExportError, match=message):
        deploy_exact(seeded_checkpoint, Calibration(peaks | {name: np.full_like(peaks[name], peak)}))


def test_means_that_no_sum_holds_are_refused(small, peaks):
    with torch.no_grad():
        small.model.contexts[1].aggregation[4].weight[2] *= 1e15
    message = r"context\.1\.aggregation\.4: not exact: the weights of channel 2 .*`arithmetic: float`"
    with pytest.raises(ExportError, match=message):
        deploy_exact(small, Calibration(peaks))


def integers_of(conv, unit, x):
    """What a convolution gives in Python's integers, per output channel in its unit: int64 [out, height, width]."""
    weight, bias = folded(conv)
    weight = (weight / unit[:, None, None, None]).astype(object)
    bias = (bias / unit).astype(object)
    assert all(value == int(value) for value in (*weight.ravel(), *bias))
    weight, bias = (array.astype(np.int64) for array in (weight, bias))
    layer = copy.deepcopy(conv)
    layer.weight = nn.Parameter(torch.zeros_like(layer.weight), requires_grad=False)
    height, width = layer(torch.from_numpy(x).float()[None]).shape[2:]
    out = np.tile(bias[:, None, None], (1, height, width))
    kernel, stride, padding = (getattr(conv, n)[0] for n in ("kernel_size", "stride", "padding"))
    transposed = isinstance(conv, nn.ConvTranspose2d)
    for row, column in itertools.product(range(x.shape[1]), range(x.shape[2])):
        for i, j in itertools.product(range(kernel), range(kernel)):
            if transposed:
                at = (row * stride - padding + i, column * stride - padding + j)
            else:
                at = (row + padding - i, column + padding - j)
            if 0 <= at[0] < height and 0 <= at[1] < width:
                out[:, at[0], at[1]] += weight[:, :, i, j] @ x[:, row, column]
    return out


MAGNITUDES = st.integers(-60, 60)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 10), st.booleans(), st.data())
def test_quantizer_and_proof_agree(seed, transposed, bits, signed, data):
    """Over random layers, steps and ranges of many magnitudes: float32 and float64 compute integers."""
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.integers(1, 6, 2)
    layer = (
        nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
        if transposed
        else nn.Conv2d(inputs, outputs, 3, padding=1)
    )
    weight_magnitude, bias_magnitude, in_magnitude = (data.draw(MAGNITUDES) for _ in range(3))
    with torch.no_grad():
        weight = rng.normal(size=tuple(layer.weight.shape)) * 2.0 ** rng.integers(-12, 3, tuple(layer.weight.shape))
        layer.weight[:] = torch.from_numpy(weight * rng.integers(0, 2, weight.shape) * 2.0**weight_magnitude)
        layer.bias[:] = torch.from_numpy(rng.normal(size=outputs) * rng.integers(0, 2, outputs) * 2.0**bias_magnitude)
    layer.requires_grad_(False)
    high = 2**bits - 1
    grid = Grid.of(rng.uniform(0.5, 1, inputs) * 2.0**in_magnitude, -high if signed else 0, high)
    # Down to steps of which a sum holds but 2^24.
    sums = reach("layer", layer, grid)
    steps = np.where(sums > 0, sums, 1.0) / 2.0**24 * 2.0 ** data.draw(st.integers(-10, 60))
    exact = quantize_conv("layer", layer, grid, steps)
    limits = np.stack([grid.low, grid.high], axis=1)
    proof = exactness._prove_layer("layer", exact, limits)
    assert proof.largest_sum < 2**24
    weight, bias = folded(exact)
    unit = exactness._units(np.concatenate((weight.reshape(outputs, -1), bias[:, None]), axis=1))
    for x in (
        rng.integers(int(grid.low[0]), high + 1, (inputs, 4, 4)),
        rng.choice([int(grid.low[0]), high], (inputs, 4, 4)),
        np.full((inputs, 4, 4), high),
    ):
        expected = integers_of(exact, unit, x) * unit[:, None, None]
        given_x = torch.from_numpy(x)[None]
        assert np.array_equal(exact(given_x.float())[0].double().numpy(), expected)
        assert np.array_equal(copy.deepcopy(exact).double()(given_x.double())[0].numpy(), expected)


def float32(value):
    """A fraction rounded once, to the nearest, ties to even, as IEEE asks of an operation."""
    if not value:
        return Fraction(0)
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length() - 24
    while abs(value) / Fraction(2) ** exponent >= 2**24:
        exponent += 1
    return round(value / Fraction(2) ** exponent) * Fraction(2) ** exponent


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-6, 130000), st.sampled_from([6, 7]), st.data())
def test_real_inputs_become_the_same_integers_fused_or_not(clip, bits, data):
    """Multiply and add rounded twice, rounded once, in float64 and in PyTorch."""
    layer = FromReal(input_grid(np.array([clip]), 10, bits))
    exactness._check_inputs("layer", layer, 2.0**-bits)
    factor = Fraction(layer.factor.item())
    high = int(layer.limits[1])
    edge = int(high / factor * 2**bits)
    nearby = st.integers(-edge - 300, edge + 300)
    edges = st.sampled_from([-edge, edge]).flatmap(lambda at: st.integers(at - 300, at + 300))
    for n in data.draw(st.lists(nearby | edges | st.integers(-(2**38), 2**38), min_size=20, max_size=20)):
        x = float32(Fraction(n, 2**bits))
        wanted = max(-high, min(high, (x * factor + Fraction(1, 2)).__floor__()))
        for found in (float32(float32(x * factor) + Fraction(1, 2)), float32(x * factor + Fraction(1, 2))):
            assert max(-high, min(high, found.__floor__())) == wanted
        for dtype in (torch.float32, torch.float64):
            given_x = torch.tensor([[[[float(x)]]]], dtype=dtype)
            assert copy.deepcopy(layer).to(dtype)(given_x).item() == wanted
