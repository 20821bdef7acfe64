"""The integer model: what is proved of it, and what is refused because it cannot be proved."""

import copy
import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from elic_export.errors import ExportError
from elic_export.exact import proof as exactness
from elic_export.exact.calibration import Calibration, calibrate, crops_of, read_calibration, write_calibration
from elic_export.exact.deployment import deploy_exact, fingerprint
from elic_export.exact.quantize import FromReal, Grid, Precision, Requantize, ToReal, quantize_conv
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_models.checkerboard import pack
from elic_runtime.images import write_image
from torch import nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def deciding_layers(model):
    """(name, layer) of everything in h_s and the context model that computes."""
    kinds = (*CONVOLUTIONS, Requantize, ToReal)
    for prefix in ("h_s", "context"):
        for name, layer in model.get_submodule(prefix).named_modules():
            if isinstance(layer, kinds):
                yield f"{prefix}.{name}", layer


@torch.inference_mode()
def code(model, tables, image):
    """Means, scales and y_hat of all passes over a photograph."""
    dtype = next(model.h_s.parameters()).dtype
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    medians = torch.from_numpy(tables.medians)[None, :, None, None]
    y = model.g_a(x) if dtype == torch.float32 else copy.deepcopy(model.g_a).float()(x)
    z_hat = (copy.deepcopy(model.h_a).float()(y) - medians).round() + medians
    y_slices = y.to(dtype).split(model.spec.groups, dim=1)
    parameters = []

    def one(k, half, means, scales):
        parameters.append((means, scales))
        return (pack(y_slices[k], model.parity(half)) - means).round() + means

    y_hat = model.code_passes(*model.latent_parameters(z_hat.to(dtype)), one)
    return parameters, y_hat


def test_a_photograph_gives_the_same_numbers_in_float32_and_float64(deployment, cat):
    """Sums of a photograph's integers do not round: float64, which would not either, finds nothing else."""
    single, y_hat = code(deployment.model, deployment.tables, cat[:256, :448])
    double, y_hat_double = code(copy.deepcopy(deployment.model).double(), deployment.tables, cat[:256, :448])
    assert torch.equal(y_hat.double(), y_hat_double)
    for found, expected in zip(itertools.chain(*single), itertools.chain(*double), strict=True):
        assert torch.equal(found.double(), expected)
    means, scales = (torch.cat([p[i].flatten() for p in single]) for i in (0, 1))
    assert torch.equal(means * 2**7, (means * 2**7).round())
    assert torch.equal(scales * 2**8, (scales * 2**8).round())


def test_every_layer_is_proved_and_close_to_the_bound(deployment):
    proofs = {proof.layer: proof for proof in deployment.proofs}
    convolutions = {name for name, layer in deciding_layers(deployment.model) if isinstance(layer, CONVOLUTIONS)}
    assert proofs.keys() == convolutions
    assert len(proofs) == 35
    for proof in proofs.values():
        assert 2**23 <= proof.largest_sum < 2**24, proof  # a bit less would be a bit of precision given away
        assert proof.largest_weight <= 2047


def test_an_independent_count_of_the_largest_sum(deployment):
    """Of h_s's second layer, whose outputs each meet one parity class of taps."""
    conv = deployment.model.h_s[3]
    assert deployment.model.h_s[2].limits.tolist() == [0, 1023]
    weight = conv.weight.detach().double().numpy()
    largest = 0.0
    for channel in range(conv.out_channels):
        values = np.append(weight[:, channel].ravel(), conv.bias.detach().double().numpy()[channel])
        unit = next(u for u in 2.0 ** np.arange(0, -40, -1) if (values / u == np.rint(values / u)).all())
        for row, column in itertools.product(range(2), range(2)):
            taps = weight[:, channel, row::2, column::2] / unit
            up = (taps.clip(min=0) * 1023).sum() + max(values[-1] / unit, 0)
            down = (-taps.clip(max=0) * 1023).sum() + max(-values[-1] / unit, 0)
            largest = max(largest, up, down)
    (proof,) = (p for p in deployment.proofs if p.layer == "h_s.3")
    assert proof.largest_sum == largest


def larger_weights(model):
    model.h_s[3].weight.data[:, 7] *= 3


def a_finer_weight(model):
    model.context[2].channel[3].weight.data[5, 0, 0, 0] += 2.0**-20


def a_larger_bias(model):
    model.context[4].aggregation[0].bias.data[3] += 2.0**20


def wider_inputs(model):
    model.context[1].aggregation[1].limits[1] = 4095


def an_uneven_factor(model):
    model.context[3].spatial[0].factor[0, 0] = 1 / 3


def an_uneven_step(model):
    model.context[3].aggregation[5].step[0, 0] = 0.01


def finer_means(model):
    model.context[3].aggregation[5].step[:, :64] *= 2.0**-20


def a_smaller_factor(model):
    model.h_s[0].factor[0, 3] *= 2.0**-30


def a_negative_factor(model):
    model.h_s[0].factor[0, 3] *= -1


def uneven_limits(model):
    model.context[1].aggregation[1].limits[1] = 700.5


def no_rounding(model):
    del model.context[0].aggregation[3]


def a_float_activation(model):
    model.context[0].aggregation[1] = nn.ReLU()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (larger_weights, r"h_s\.3: not exact: (channel 7 can add up to|a factor has more than 11 bits)"),
        (a_finer_weight, r"context\.2\.channel\.3: not exact: (channel 5|a factor)"),
        (a_larger_bias, r"context\.4\.aggregation\.0: not exact: channel 3 can add up to"),
        (wider_inputs, r"context\.1\.aggregation\.2: not exact: a factor has more than 11 bits"),
        (
            an_uneven_factor,
            r"context\.3\.spatial\.0: not exact: an input of channel 0 that is not clipped can have more than 24 bits",
        ),
        (an_uneven_step, r"context\.3\.aggregation\.5: not exact: a step is not a power of two"),
        (finer_means, r"context\.0\.spatial\.0: not exact: an input of channel \d+ that is not clipped can have more"),
        (a_smaller_factor, r"h_s\.0: not exact: an input of channel 3 that is not clipped can have more than 24 bits"),
        (a_negative_factor, r"h_s\.0: not exact: a factor is not positive"),
        (uneven_limits, r"context\.1\.aggregation\.2: not exact: the limits of its inputs are not integers"),
        (no_rounding, r"context\.0\.aggregation\.3: not exact: its inputs have no bound"),
        (a_float_activation, r"context\.0\.aggregation\.1: not exact: ReLU has no exact form"),
    ],
)
def test_a_layer_that_breaks_the_proof_is_refused(deployment, spoil, message):
    model = copy.deepcopy(deployment.model)
    with torch.no_grad():
        spoil(model)
    with pytest.raises(ExportError, match=message):
        exactness.prove(model, deployment.tables.medians.astype(np.float64))


def test_every_refusal_names_the_way_out(deployment):
    model = copy.deepcopy(deployment.model)
    with torch.no_grad():
        larger_weights(model)
    with pytest.raises(ExportError, match=r"`arithmetic: float` in the config"):
        exactness.prove(model, deployment.tables.medians.astype(np.float64))


def test_scales_are_no_part_of_y_hat(deployment):
    """As fine as one likes: y_hat is a symbol more than a mean."""
    model = copy.deepcopy(deployment.model)
    with torch.no_grad():
        model.context[3].aggregation[5].step[:, 64:] *= 2.0**-20
    assert exactness.prove(model, deployment.tables.medians.astype(np.float64))


def test_inputs_at_the_bound_find_what_photographs_do_not():
    """With a limit of 2^27 instead of 2^24, float32 does round: the worst case shows it."""
    torch.manual_seed(0)
    conv = nn.Conv2d(512, 4, 1)
    grid = Grid.of(np.full(512, 1.0), 0, 1023)
    exact = quantize_conv("conv", conv, grid, np.full(4, 2.0**-3))
    limits = np.tile([0.0, 1023.0], (512, 1))
    exactness._prove_layer("conv", exact, limits)
    with torch.no_grad():
        exact.weight *= 8
        exact.weight += exact.weight.sign() * 2.0 ** np.floor(np.log2(exact.weight.abs().max().item()) - 10)
    with pytest.raises(ExportError, match="differ at the bound"):
        exactness._worst_case("conv", exact, 0, limits)


def test_real_inputs_are_rounded_to_the_nearest_and_clipped():
    layer = FromReal(Grid.of(np.array([1 / 4, 1.0]), -1023, 1023))
    x = torch.tensor([[0.125, -0.125, 0.13, 1e9], [0.49, 0.5, -0.51, -1e9]])[None, :, None]
    assert layer(x)[0, :, 0].tolist() == [[1, 0, 1, 1023], [0, 1, -1, -1023]]


def test_calibration_does_not_depend_on_threads(checkpoint):
    """Sums end differently, in float64's last bits, which rounding up to 8 bits takes away."""
    crops = crops_of(DEPLOY_CONFIGS / "calibration")[:2]
    before = torch.get_num_threads()
    found = {}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found[threads] = calibrate(checkpoint.model, crops).peaks
    finally:
        torch.set_num_threads(before)
    assert found[1].keys() == found[2].keys()
    assert all((found[1][name] == found[2][name]).all() for name in found[1])


def test_equal_calibrations_give_equal_integers(checkpoint, deployment, calibration, tmp_path):
    write_calibration(tmp_path / "calibration.npz", calibration)
    stored = read_calibration(tmp_path / "calibration.npz")
    assert fingerprint(deploy_exact(checkpoint, stored)) == fingerprint(deployment)


def test_a_calibration_of_another_model_is_refused(checkpoint, calibration):
    peaks = calibration.peaks
    for other, message in [
        ({n: p for n, p in peaks.items() if n != "context.3.spatial"}, r"has no context\.3\.spatial"),
        (peaks | {"h_s.1": peaks["h_s.1"][:10]}, r"h_s\.1: its channels are not those"),
        (peaks | {"y_hat": peaks["y_hat"][:10]}, "10 channels of y_hat"),
        (peaks | {"y_hat": peaks["y_hat"] * 1e5}, r"context\.0\.spatial: not exact: y_hat gets as large as"),
    ]:
        with pytest.raises(ExportError, match=message):
            deploy_exact(checkpoint, Calibration(other))


def as_npy(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(4))


def test_damaged_calibrations_are_refused(tmp_path):
    path = tmp_path / "calibration.npz"
    for write in (
        lambda: path.write_bytes(b"PK no"),
        lambda: np.savez(path, h_s=np.array([{"a": 1}], dtype=object)),
        lambda: np.savez(path, h_s=np.array([np.nan])),
        lambda: np.savez(path, h_s=np.zeros((2, 2))),
        lambda: np.savez(path, h_s=np.zeros(0)),
        lambda: np.savez(path, h_s=np.zeros(4, complex)),
        lambda: path.write_bytes((DEPLOY_CONFIGS / "calibration/coins-1.png").read_bytes()),
        lambda: as_npy(path),
        path.unlink,
    ):
        write()
        with pytest.raises(ExportError, match="not a calibration") as error:
            read_calibration(path)
        assert "\n" not in str(error.value)


def test_a_calibration_that_unpacks_to_more_than_any_model_has_is_refused(tmp_path):
    """128 MB of zeros in 0.1 MB: refused before it is unpacked, in little memory."""
    path = tmp_path / "calibration.npz"
    np.savez_compressed(path, h_s=np.zeros(16 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ExportError, match=r"not a calibration: .*larger"):
            read_calibration(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_crops_of_a_folder(cat, tmp_path):
    write_image(tmp_path / "a.png", cat)
    write_image(tmp_path / "b.png", cat[:100, :90])
    crops = crops_of(tmp_path)
    assert {crop.shape for crop in crops} == {(256, 256, 3)}
    assert len(crops) == 32 + 1  # the second is smaller than a crop: there is one
    assert len({crop.tobytes() for crop in crops}) > 20
    assert all((a == b).all() for a, b in zip(crops, crops_of(tmp_path), strict=True))


@pytest.mark.parametrize("images", [1, 7, 13, 64, 70])
def test_crops_are_spread_over_the_photographs(cat, tmp_path, images):
    """Whatever their number: also sideways, and not all from the top."""
    marked = np.zeros((600, 900, 3), np.uint8)
    marked[..., 0] = np.linspace(0, 255, 600)[:, None]
    marked[..., 1] = np.linspace(0, 255, 900)
    for i in range(images):
        write_image(tmp_path / f"{i:02}.png", marked)
    crops = crops_of(tmp_path)
    assert 64 <= len(crops) < 64 + images
    middles = np.array([crop[128, 128, :2] for crop in crops]) / 255 * (600, 900)
    for axis, size in enumerate((600, 900)):
        if images < 64:
            assert np.ptp(middles[:, axis]) > 0.6 * (size - 256)
        else:  # one each: from the middle
            assert abs(middles[:, axis] - size / 2).max() < 0.05 * size


def test_a_tensor_that_is_always_zero_has_a_grid(checkpoint, calibration):
    peaks = calibration.peaks | {"h_s.1": np.zeros_like(calibration.peaks["h_s.1"])}
    assert deploy_exact(checkpoint, Calibration(peaks)).proofs


def test_other_precisions_are_exact_too(checkpoint, calibration):
    for precision in (Precision(activation_bits=8, channel_bits=8, input_bits=8), Precision(mean_bits=4, scale_bits=6)):
        assert deploy_exact(checkpoint, calibration, precision).proofs
