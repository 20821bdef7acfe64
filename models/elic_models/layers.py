"""The layers and blocks of ELIC's transforms.

Attributes have the names that published checkpoints use (`conv1`, `conv_a`, ...).
"""

from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from elic_models.checkerboard import spatial_mask


def conv(in_ch: int, out_ch: int, kernel_size: int = 5, stride: int = 2) -> nn.Conv2d:
    """Build a convolution that divides height and width by `stride`."""
    return nn.Conv2d(in_ch, out_ch, kernel_size, stride=stride, padding=kernel_size // 2)


def deconv(in_ch: int, out_ch: int, kernel_size: int = 5, stride: int = 2) -> nn.ConvTranspose2d:
    """Build a transposed convolution that multiplies height and width by `stride`."""
    return nn.ConvTranspose2d(
        in_ch, out_ch, kernel_size, stride=stride, padding=kernel_size // 2, output_padding=stride - 1
    )


def conv1x1(in_ch: int, out_ch: int) -> nn.Conv2d:
    """Build a 1x1 convolution, which reads each position alone."""
    return conv(in_ch, out_ch, kernel_size=1, stride=1)


class ResidualBottleneckBlock(nn.Module):
    """Residual block whose inner layers have half the channels (He et al. 2022, figure 3).

    ```
        ┌──────────────────────────────────────────────┐
    x ──┴─ conv1x1 N/2 ─ ReLU ─ conv3x3 ─ ReLU ─ conv1x1 N ─ + ── out
    ```
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv1x1(channels, channels // 2)
        self.conv2 = conv(channels // 2, channels // 2, kernel_size=3, stride=1)
        self.conv3 = conv1x1(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, H, W] -> [B, N, H, W]"""
        residual: Tensor = self.conv3(relu(self.conv2(relu(self.conv1(x)))))
        return residual + x


class ResidualUnit(nn.Module):
    """The unit of the attention block: a residual bottleneck with a ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv1x1(channels, channels // 2),
            nn.ReLU(),
            conv(channels // 2, channels // 2, kernel_size=3, stride=1),
            nn.ReLU(),
            conv1x1(channels // 2, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, H, W] -> [B, N, H, W]"""
        return relu(self.conv(x) + x)


class AttentionBlock(nn.Module):
    """Simplified attention of Cheng et al. 2020 (arXiv 2001.01568), used by ELIC.

    ```
        ┌─ 3 units ──────────────── × ─ + ── out
    x ──┼─ 3 units ─ conv1x1 ─ sigmoid ┘ │
        └────────────────────────────────┘
    ```
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = nn.Sequential(*(ResidualUnit(channels) for _ in range(3)))
        self.conv_b = nn.Sequential(*(ResidualUnit(channels) for _ in range(3)), conv1x1(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, H, W] -> [B, N, H, W]"""
        features: Tensor = self.conv_a(x)
        attention: Tensor = self.conv_b(x).sigmoid()
        return features * attention + x


class CheckerboardConv2d(nn.Conv2d):
    """Convolution that reads only the positions of the other parity.

    In He et al. 2022 this is labelled g_sp^(k). The mask is applied to a copy of the weight, so that the module can be
    exported and its weight stays as it was loaded.
    """

    def __init__(self, in_ch: int, out_ch: int, kernel_size: int = 5) -> None:
        super().__init__(in_ch, out_ch, kernel_size, padding=kernel_size // 2)
        self.mask: Tensor
        self.register_buffer("mask", spatial_mask(kernel_size), persistent=False)

    @property
    def masked_weight(self) -> Tensor:
        """The weight [out_ch, in_ch, kernel, kernel], with zeros where the mask is zero."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_ch, H, W] -> [B, out_ch, H, W]"""
        return conv2d(x, self.masked_weight, self.bias, padding=self.padding)
