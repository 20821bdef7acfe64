import copy

import torch
from elic_export.rewrites import SubpixelDeconv, deconv_to_depth_to_space
from torch import nn


@torch.inference_mode()
def test_depth_to_space_equals_the_deconvolution(checkpoint):
    """In float64: the same sums, so only their order may differ."""
    g_s = copy.deepcopy(checkpoint.model.g_s).double()
    rewritten = deconv_to_depth_to_space(g_s).double()
    y_hat = torch.randn(1, 320, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    assert torch.allclose(rewritten(y_hat), g_s(y_hat), atol=1e-12)
    assert sum(isinstance(m, SubpixelDeconv) for m in rewritten.modules()) == 4
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in rewritten.modules())
    assert any(isinstance(m, nn.ConvTranspose2d) for m in g_s.modules()), "the model itself must stay as it is"
