"""Ours against the public implementations' own answers: golden/README.md says how those were made."""

import json
from pathlib import Path

import numpy as np
import pytest
import seeded
import torch
from elic_models import load_checkpoint
from elic_models.checkerboard import spatial_mask
from elic_runtime.coder import make_coder
from elic_runtime.tables import CdfTables
from tracing import assert_close, assert_not_trivial, flat_strings, trace

GOLDEN = Path(__file__).parent / "golden"
LATENTS = ("y", "z", "y_hat", "x_hat")


class Golden:
    """A reference's vectors, and our network with its weights, loaded from a file of its layout."""

    def __init__(self, name, folder):
        with np.load(GOLDEN / f"{name}.npz") as file:
            self.arrays = dict(file)
        about = json.loads(str(self.arrays["about"]))
        content = seeded.tensors(about["parameters"], about["salt"])
        content |= {key.removeprefix("buffer:"): torch.from_numpy(a) for key, a in self.arrays.items() if ":" in key}
        for key in [key for key in content if key.startswith("context_prediction") and key.endswith("weight")]:
            content[key.replace("weight", "mask")] = spatial_mask(5).expand_as(content[key]).clone()
        self.path = folder / f"{name}.pth.tar"
        torch.save({"state_dict": content}, self.path)
        self.model = load_checkpoint(self.path).model
        self.x = seeded.image(64, 128, about["salt"])

    def strings(self):
        """In the reference's order, z last."""
        return [
            self.arrays[f"string{n}"].tobytes() for n in range(sum(key.startswith("string") for key in self.arrays))
        ]


@pytest.fixture(scope="module")
def chandelier(tmp_path_factory):
    return Golden("chandelier", tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def jiang(tmp_path_factory):
    return Golden("jiang", tmp_path_factory.mktemp("golden"))


@pytest.fixture(params=["chandelier", "jiang"])
def golden(request):
    return request.getfixturevalue(request.param)


def test_the_layout_and_widths_are_recognized(chandelier, jiang):
    spec = chandelier.model.spec
    assert (spec.variant, spec.N, spec.M, spec.groups) == ("chandelier", 192, 320, (16, 16, 32, 64, 192))
    spec = jiang.model.spec
    assert (spec.variant, spec.N, spec.M, spec.groups) == ("jiang", 24, 48, (4, 4, 8, 32))


@torch.inference_mode()
def test_every_stage_gives_what_the_reference_gives(golden):
    latents, passes = trace(golden.model, golden.x)
    for name in LATENTS:
        assert_close(latents[name], golden.arrays[name])
    assert len(passes) == 2 * len(golden.model.spec.groups)
    for number, one in enumerate(passes):
        for name in ("means", "scales"):
            assert_close(one[name], golden.arrays[f"pass{number}_{name}"])
    assert_not_trivial(passes)


@torch.inference_mode()
def test_forward_gives_the_references_picture_and_likelihoods(golden):
    forward = golden.model(golden.x)
    assert_close(forward["x_hat"], golden.arrays["x_hat"])
    for name, likelihoods in forward["likelihoods"].items():
        bits = float(-likelihoods.double().log2().sum())
        assert bits == pytest.approx(float(golden.arrays[f"bits_{name}"]), rel=1e-5)


@torch.inference_mode()
def test_chandeliers_streams_are_ours(chandelier):
    model, theirs = chandelier.model, chandelier.strings()
    coded = model.compress(chandelier.x)
    assert [string for (string,) in flat_strings(coded)] == theirs
    y_strings = [[[theirs[2 * k]], [theirs[2 * k + 1]]] for k in range(5)]
    decoded = model.decompress([y_strings, [theirs[-1]]], coded["shape"])
    x_hat = chandelier.arrays["x_hat"]
    assert_close(decoded["x_hat"], x_hat.clip(0, 1), size=abs(x_hat).max())


@torch.inference_mode()
def test_jiangs_one_stream_holds_our_symbols(jiang):
    """All passes one after the other, then z: no more than another framing of the same symbols."""
    model = jiang.model
    y_string, z_string = jiang.strings()
    _, passes = trace(model, jiang.x)
    symbols, indexes = (
        torch.cat([one[name].flatten() for one in passes]).numpy().astype(dtype)
        for name, dtype in (("symbols", np.int32), ("indexes", np.uint16))
    )
    gaussian = model.gaussian_conditional
    tables = CdfTables(*(t.numpy() for t in (gaussian.quantized_cdf, gaussian.cdf_length, gaussian.offset)))
    coder = make_coder()
    assert np.array_equal(coder.decode(y_string, indexes, tables), symbols)
    assert coder.encode(symbols, indexes, tables) == y_string
    assert model.compress(jiang.x)["strings"][1] == [z_string]


@torch.inference_mode()
def test_streams_decode_to_the_references_picture(golden):
    coded = golden.model.compress(golden.x)
    decoded = golden.model.decompress(coded["strings"], coded["shape"])
    x_hat = golden.arrays["x_hat"]
    assert_close(decoded["x_hat"], x_hat.clip(0, 1), size=abs(x_hat).max())


@torch.inference_mode()
def test_jiangs_unmasked_local_context_needs_no_mask(jiang):
    """Its taps at even distance are there, and add nothing where its output is read."""
    model = jiang.model
    for k, context in enumerate(model.contexts):
        spatial = context.spatial
        assert spatial.weight[:, :, 0, 0].abs().min() > 0
        channels = model.spec.groups[k]
        y_hat = torch.from_numpy(jiang.arrays["y_hat"]).split(model.spec.groups, dim=1)[k]
        rows, columns = torch.meshgrid(torch.arange(4), torch.arange(8), indexing="ij")
        anchors = (rows + columns) % 2 == 1
        unmasked = torch.nn.functional.conv2d(y_hat * anchors, spatial.weight, spatial.bias, padding=2)
        ours = spatial(y_hat * anchors)
        assert ours.shape == (1, 2 * channels, 4, 8)
        assert_close(ours[..., ~anchors], unmasked[..., ~anchors])
        assert not torch.allclose(ours[..., anchors], unmasked[..., anchors])
