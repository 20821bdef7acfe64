"""The four transforms of ELIC (He et al. 2022, figure 3), as plain sequences of layers.

Do not insert layers: the position of a layer in its sequence is part of its name in checkpoints, and `g_s` is split at
a position too.
"""

from torch import nn

from elic_models.layers import AttentionBlock, ResidualBottleneckBlock, conv, deconv
from elic_models.spec import ModelSpec


def _three_blocks(channels: int) -> list[nn.Module]:
    return [ResidualBottleneckBlock(channels) for _ in range(3)]


def analysis(N: int, M: int) -> nn.Sequential:
    """Build g_a: x [B, 3, H, W] -> y [B, M, H/16, W/16]."""
    return nn.Sequential(
        conv(3, N),
        *_three_blocks(N),
        conv(N, N),
        *_three_blocks(N),
        AttentionBlock(N),
        conv(N, N),
        *_three_blocks(N),
        conv(N, M),
        AttentionBlock(M),
    )


def synthesis(N: int, M: int) -> nn.Sequential:
    """Build g_s: y_hat [B, M, H/16, W/16] -> x_hat [B, 3, H, W]."""
    return nn.Sequential(
        AttentionBlock(M),
        deconv(M, N),
        *_three_blocks(N),
        deconv(N, N),
        AttentionBlock(N),
        *_three_blocks(N),
        deconv(N, N),
        *_three_blocks(N),
        deconv(N, 3),
    )


def hyper_analysis(N: int, M: int) -> nn.Sequential:
    """Build h_a: y [B, M, H/16, W/16] -> z [B, N, H/64, W/64]."""
    return nn.Sequential(conv(M, N, kernel_size=3, stride=1), nn.ReLU(), conv(N, N), nn.ReLU(), conv(N, N))


def hyper_synthesis(spec: ModelSpec) -> nn.Sequential:
    """Build h_s: z_hat [B, N, H/64, W/64] -> latent means and scales in one tensor [B, 2L, H/16, W/16].

    L is the spec's `latent_channels`: M, or N for compressai-official.
    """
    a, b, out = spec.hyper_synthesis_widths
    last = {"conv": conv, "deconv": deconv}[spec.wiring.hyper_synthesis_end]
    return nn.Sequential(deconv(spec.N, a), nn.ReLU(), deconv(a, b), nn.ReLU(), last(b, out, kernel_size=3, stride=1))
