"""The packed graphs against the reference context model, in float64, where only real differences show."""

import copy

import pytest
import torch
from elic_export.graphs.packed import AnchorContext, NonAnchorContext
from elic_models.checkerboard import pack, unpack

H, W = 6, 8


@pytest.fixture(scope="module")
def contexts(checkpoint):
    return [copy.deepcopy(context).double() for context in checkpoint.model.contexts]


@pytest.mark.parametrize("k", range(5))
@pytest.mark.parametrize("parity", [0, 1])
@torch.inference_mode()
def test_packed_contexts_equal_the_reference(contexts, k, parity):
    generator = torch.Generator().manual_seed(k)
    context = contexts[k]

    def random(channels):
        return torch.randn(1, channels, H, W, generator=generator, dtype=torch.float64)

    latents = random(24), random(24)
    slices = [random(c.channels) for c in contexts]
    full = context.support(*latents, slices)

    # Built in float32 by the exporter; the values survive the way to double.
    anchor = AnchorContext(context, parity).double()
    nonanchor = NonAnchorContext(context, parity).double()
    means, scales, support = anchor(*latents, *(slices[i] for i in context.context_slices))
    for found, expected in zip((means, scales), context.anchor(full), strict=True):
        assert torch.allclose(found, pack(expected, parity), atol=1e-12)

    y_hat_anchor = pack(slices[k], parity)
    expected = context.nonanchor(full, unpack(y_hat_anchor, parity))
    for found, reference in zip(nonanchor(y_hat_anchor, support), expected, strict=True):
        assert torch.allclose(found, pack(reference, 1 - parity), atol=1e-12)
