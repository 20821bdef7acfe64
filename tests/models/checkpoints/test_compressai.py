"""Ours against CompressAI's own two ELICs, at widths other than the default's."""

import pytest
import seeded
import torch
from compressai.models.sensetime import Elic2022Chandelier, Elic2022Official
from elic_models import load_checkpoint
from tracing import assert_close, assert_not_trivial, flat_strings, trace

CLASSES = {"compressai-official": Elic2022Official, "compressai-chandelier": Elic2022Chandelier}

WIDTHS = [
    (16, 24, (4, 8, 12)),
    (24, 16, (2, 4, 4, 6)),
    (16, 16, (6, 10)),  # two groups read the same slices either way, N = M ends h_s alike
    (32, 16, (16,)),
]


class Pair:
    """CompressAI's model with seeded weights, and ours loaded from its file."""

    def __init__(self, variant, widths, folder, updated=True):
        N, M, groups = widths
        self.theirs = CLASSES[variant](N=N, M=M, groups=list(groups)).eval()
        with torch.no_grad():
            for name, parameter in self.theirs.named_parameters():
                parameter.copy_(seeded.tensor(name, parameter.shape))
        if updated:
            self.theirs.update()
        self.path = folder / "elic.pth.tar"
        torch.save(self.theirs.state_dict(), self.path)
        self.theirs.update()
        self.ours = load_checkpoint(self.path).model
        # Two images in the batch: each stream codes one.
        self.x = torch.cat((seeded.image(64, 128, "a"), seeded.image(64, 128, "b")))


@pytest.fixture(scope="module", params=[(v, w) for v in CLASSES for w in WIDTHS], ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def pair(case, tmp_path_factory):
    return Pair(*case, tmp_path_factory.mktemp("compressai"))


def record_passes(model):
    """Their forward's parameters by slice and pass: what each parameter net returns, means first."""
    seen = {}
    hooks = []
    for k in range(len(model.groups)):
        codec = model.latent_codec["y"][f"y{k}"]

        def remember(_module, _given, out, k=k, codec=codec):
            scales, means = codec["y"]._chunk(out)
            seen.setdefault(k, []).append({"means": means, "scales": scales})

        hooks.append(codec.entropy_parameters.register_forward_hook(remember))
    return seen, hooks


def test_variant_and_widths_are_recognized(pair, case):
    variant, (N, M, groups) = case
    spec = pair.ours.spec
    assert (spec.variant, spec.N, spec.M, spec.groups) == (variant, N, M, groups)
    assert spec.latent_channels == (N if variant == "compressai-official" else M)


@torch.inference_mode()
def test_every_stage_gives_what_compressai_gives(pair):
    seen, hooks = record_passes(pair.theirs)
    theirs = pair.theirs(pair.x)
    for hook in hooks:
        hook.remove()
    latents, passes = trace(pair.ours, pair.x)
    assert_not_trivial(passes)
    y = pair.theirs.g_a(pair.x)
    assert_close(latents["y"], y)
    assert_close(latents["z"], pair.theirs.latent_codec["hyper"].h_a(y))
    assert_close(latents["y_hat"], pair.theirs.latent_codec(y)["y_hat"])
    assert_close(latents["x_hat"], theirs["x_hat"])
    for k in range(len(pair.ours.spec.groups)):
        codec = pair.theirs.latent_codec["y"][f"y{k}"]
        for half in (0, 1):
            for name in ("means", "scales"):
                assert_close(passes[2 * k + half][name], codec.unembed(seen[k][half][name])[half])

    forward = pair.ours(pair.x)
    assert_close(forward["x_hat"], theirs["x_hat"])
    for name in ("y", "z"):
        assert_close(forward["likelihoods"][name], theirs["likelihoods"][name])


@torch.inference_mode()
def test_streams_are_the_same_and_decode_both_ways(pair):
    theirs, ours = pair.theirs.compress(pair.x), pair.ours.compress(pair.x)
    streams = flat_strings(ours)
    assert streams == theirs["strings"]
    # Their decoder names the shapes of a stream's slices, ours that of z.
    x_hat = pair.theirs.decompress(streams, theirs["shape"])["x_hat"]
    y_strings = [theirs["strings"][2 * k : 2 * k + 2] for k in range(len(pair.ours.spec.groups))]
    decoded = pair.ours.decompress([y_strings, theirs["strings"][-1]], theirs["shape"]["hyper"])["x_hat"]
    assert_close(decoded, x_hat, size=pair.ours(pair.x)["x_hat"].abs().max())
    assert x_hat.std() > 0.1


@pytest.mark.parametrize("variant", CLASSES)
def test_a_checkpoint_before_update_has_its_tables_computed(variant, tmp_path):
    pair = Pair(variant, WIDTHS[0], tmp_path, updated=False)
    with torch.inference_mode():
        assert flat_strings(pair.ours.compress(pair.x)) == pair.theirs.compress(pair.x)["strings"]
