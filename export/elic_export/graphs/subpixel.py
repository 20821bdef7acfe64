"""Stride-2 convolutions, rewritten as convolutions of stride 1 with DepthToSpace or SpaceToDepth."""

import torch
from torch import Tensor, nn

from elic_export.graphs.reshapes import depth_to_space, space_to_depth


class DepthToSpace(nn.Module):
    """`depth_to_space` as a layer, after which g_s can be cut and activations can be rounded to fp16."""

    def forward(self, x: Tensor) -> Tensor:
        """Rearrange [B, 4 C, H, W] to [B, C, 2H, 2W]."""
        return depth_to_space(x)


class SubpixelDeconv(nn.Module):
    """A 5x5 stride-2 transposed convolution, computed by a 3x3 convolution and DepthToSpace.

    The output pixels of one row parity and one column parity are an ordinary convolution of the input. The four
    convolutions are computed as one, with their outputs side by side in the channels. Each of their kernels fits in
    3x3; together they use 25 of 36 taps.

    Parameters
    ----------
    deconv : ConvTranspose2d
        The layer to replace; `doubles` must hold for it.

    """

    def __init__(self, deconv: nn.ConvTranspose2d) -> None:
        super().__init__()
        with_bias = deconv.bias is not None
        self.conv = nn.Conv2d(deconv.in_channels, 4 * deconv.out_channels, 3, padding=1, bias=with_bias)
        self.conv.weight = nn.Parameter(_parity_kernels(deconv.weight), requires_grad=False)
        if deconv.bias is not None:
            self.conv.bias = nn.Parameter(deconv.bias.repeat(4), requires_grad=False)
        self.shuffle = DepthToSpace()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, in, H, W] to [B, out, 2H, 2W]."""
        upsampled: Tensor = self.shuffle(self.conv(x))
        return upsampled


class SpaceToDepth(nn.Module):
    """`space_to_depth` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Rearrange [B, C, 2H, 2W] to [B, 4 C, H, W]."""
        return space_to_depth(x)


class SubpixelConv(nn.Module):
    """A 5x5 stride-2 convolution, computed by SpaceToDepth and a 3x3 convolution.

    It has 36 taps for 25, but Winograd's algorithm, which needs stride 1, saves more multiplications than that.

    Parameters
    ----------
    conv : Conv2d
        The layer to replace; `halves` must hold for it.

    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        with_bias = conv.bias is not None
        self.shuffle = SpaceToDepth()
        self.conv = nn.Conv2d(4 * conv.in_channels, conv.out_channels, 3, padding=1, bias=with_bias)
        self.conv.weight = nn.Parameter(_block_kernel(conv.weight), requires_grad=False)
        if conv.bias is not None:
            self.conv.bias = nn.Parameter(conv.bias.detach().clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, in, 2H, 2W] to [B, out, H, W]."""
        downsampled: Tensor = self.conv(self.shuffle(x))
        return downsampled


_STRIDE_2 = ((5, 5), (2, 2), (2, 2), (1, 1), 1)


def _geometry(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[object, ...]:
    return layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups


def _parity_kernels(weight: Tensor) -> Tensor:
    """Rearrange the kernel [in, out, 5, 5] of a transposed convolution to the kernel [4 out, in, 3, 3].

    Along one axis, output 2i + a takes input j through tap 2 (i - j) + 2 + a: for a = 0 the inputs i-1, i, i+1
    through taps 4, 2, 0, and for a = 1 the inputs i, i+1 through taps 3, 1.
    """
    taps = {0: ([0, 1, 2], [4, 2, 0]), 1: ([1, 2], [3, 1])}
    in_ch, out_ch = weight.shape[:2]
    kernels = torch.zeros(4, out_ch, in_ch, 3, 3)
    for a, (rows, from_rows) in taps.items():
        for b, (columns, from_columns) in taps.items():
            part = weight[:, :, from_rows][:, :, :, from_columns].transpose(0, 1)
            kernels[2 * a + b, :, :, rows[0] :, columns[0] :] = part
    return kernels.reshape(4 * out_ch, in_ch, 3, 3)


def _block_kernel(weight: Tensor) -> Tensor:
    """Rearrange the kernel [out, in, 5, 5] of a convolution to the kernel [out, 4 in, 3, 3] over blocks of 2x2.

    Along one axis, output i takes input 2i + s through tap s + 2, for s from -2 to 2, and that input is at parity
    s mod 2 of the block i + floor(s / 2): with a sixth tap of zero, the taps are three blocks of two.
    """
    out_ch, in_ch = weight.shape[:2]
    taps = torch.zeros(out_ch, in_ch, 6, 6, dtype=weight.dtype)
    taps[:, :, :5, :5] = weight
    blocks = taps.reshape(out_ch, in_ch, 3, 2, 3, 2).permute(0, 3, 5, 1, 2, 4)  # [out, row, column, in, 3, 3]
    return blocks.reshape(out_ch, 4 * in_ch, 3, 3)


def doubles(layer: nn.Module) -> bool:
    """Return whether a layer is a 5x5 stride-2 transposed convolution, which `SubpixelDeconv` can replace.

    Parameters
    ----------
    layer : Module
        Any layer.

    """
    return isinstance(layer, nn.ConvTranspose2d) and _geometry(layer) == _STRIDE_2 and layer.output_padding == (1, 1)


def halves(layer: nn.Module) -> bool:
    """Return whether a layer is a 5x5 stride-2 convolution with zero padding, which `SubpixelConv` can replace.

    Parameters
    ----------
    layer : Module
        Any layer.

    """
    return isinstance(layer, nn.Conv2d) and _geometry(layer) == _STRIDE_2 and layer.padding_mode == "zeros"
