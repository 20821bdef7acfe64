import re

import pytest
import torch
from compressai.models.sensetime import Elic2022Chandelier
from elic_models.checkerboard import pack, spatial_mask, unpack


@pytest.fixture(scope="module")
def x(cat):
    """A crop of a photograph, [1, 3, 128, 192]."""
    return torch.from_numpy(cat[60:188, 100:292].copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def compressai_model(trained_checkpoint):
    """CompressAI's own class with the embedded weights: another implementation of the same wiring."""
    names = [
        (r"^(h_a|h_s|entropy_bottleneck)\.", r"latent_codec.hyper.\1."),
        (r"^context\.(\d)\.channel\.", r"latent_codec.y.channel_context.y\1."),
        (r"^context\.(\d)\.spatial\.", r"latent_codec.y.latent_codec.y\1.context_prediction."),
        (r"^context\.(\d)\.aggregation\.", r"latent_codec.y.latent_codec.y\1.entropy_parameters."),
    ]

    def rename(key):
        for ours, theirs in names:
            key = re.sub(ours, theirs, key)
        return key

    model = Elic2022Chandelier().eval()
    weights = {rename(name): value for name, value in trained_checkpoint.model.named_parameters()}
    assert weights.keys() == {name for name, _ in model.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model


@torch.inference_mode()
def test_forward_equals_compressais_implementation(trained_checkpoint, compressai_model, x):
    ours, theirs = trained_checkpoint.model(x), compressai_model(x)
    assert torch.allclose(ours["x_hat"], theirs["x_hat"], atol=2e-6)
    for name in ("y", "z"):
        bits = [-out["likelihoods"][name].log2().sum() for out in (ours, theirs)]
        assert torch.allclose(bits[0], bits[1], rtol=1e-6)


@torch.inference_mode()
def test_streams_decode_to_what_forward_gives(trained_checkpoint, x):
    model = trained_checkpoint.model
    forward = model(x)
    coded = model.compress(x)
    decoded = model.decompress(coded["strings"], coded["shape"])
    assert torch.allclose(decoded["x_hat"], forward["x_hat"].clamp(0, 1), atol=1e-6)
    y_strings, z_strings = coded["strings"]
    streams = [s for passes in y_strings for (s,) in passes] + z_strings
    assert len(streams) == 11
    ideal = sum(float(-p.log2().sum()) for p in forward["likelihoods"].values()) / 8
    # Above the ideal: 64 levels for all scales, and 8 bytes for the end of each stream.
    assert ideal < sum(map(len, streams)) < 1.01 * ideal + 8 * len(streams)


@pytest.mark.parametrize("parity", [0, 1])
def test_packing_keeps_each_position_once(parity):
    full = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    both = unpack(pack(full, parity), parity) + unpack(pack(full, 1 - parity), 1 - parity)
    assert torch.equal(both, full)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    kept = unpack(torch.ones(1, 1, 4, 3), parity)[0, 0].bool()
    assert torch.equal(kept, (rows + columns) % 2 == parity)


def test_the_spatial_mask_sees_the_other_half_only():
    assert spatial_mask(5).tolist() == [
        [0, 1, 0, 1, 0],
        [1, 0, 1, 0, 1],
        [0, 1, 0, 1, 0],
        [1, 0, 1, 0, 1],
        [0, 1, 0, 1, 0],
    ]
