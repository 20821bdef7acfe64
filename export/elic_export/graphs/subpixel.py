"""A stride-2 transposed convolution as a convolution and DepthToSpace."""

import torch
from torch import Tensor, nn

from elic_export.graphs.reshapes import depth_to_space


class DepthToSpace(nn.Module):
    """A layer's place for `depth_to_space`: where it is cut, and rounded when fp16 is emulated."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, 4 C, H, W] -> [B, C, 2H, 2W]"""
        return depth_to_space(x)


class SubpixelDeconv(nn.Module):
    """A stride-2 transposed convolution as a convolution and DepthToSpace.

    The output pixels of one row and column parity are an ordinary convolution of the
    input: four of them, side by side in the channels, make all. A 5x5 kernel's four
    parts fit in 3x3, with 25 of 36 taps used.
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
        """[B, in, H, W] -> [B, out, 2H, 2W]"""
        return self.shuffle(self.conv(x))


_STRIDE_2 = ((5, 5), (2, 2), (2, 2), (1, 1), (1, 1), 1)


def _geometry(deconv: nn.ConvTranspose2d) -> tuple[object, ...]:
    return (
        deconv.kernel_size,
        deconv.stride,
        deconv.padding,
        deconv.output_padding,
        deconv.dilation,
        deconv.groups,
    )


def _parity_kernels(weight: Tensor) -> Tensor:
    """Kernel [in, out, 5, 5] of a stride-2, padding-2 deconvolution -> [4 out, in, 3, 3].

    Output 2i + a takes input j through tap 2 (i - j) + 2 + a: for a = 0 the inputs
    i-1, i, i+1 through taps 4, 2, 0, for a = 1 the inputs i, i+1 through taps 3, 1.
    """
    taps = {0: ([0, 1, 2], [4, 2, 0]), 1: ([1, 2], [3, 1])}
    in_ch, out_ch = weight.shape[:2]
    kernels = torch.zeros(4, out_ch, in_ch, 3, 3)
    for a, (rows, from_rows) in taps.items():
        for b, (columns, from_columns) in taps.items():
            part = weight[:, :, from_rows][:, :, :, from_columns].transpose(0, 1)
            kernels[2 * a + b, :, :, rows[0] :, columns[0] :] = part
    return kernels.reshape(4 * out_ch, in_ch, 3, 3)


def is_stride_2(layer: nn.Module) -> bool:
    """Whether a layer is a 5x5 stride-2 transposed convolution, which `SubpixelDeconv` takes."""
    return isinstance(layer, nn.ConvTranspose2d) and _geometry(layer) == _STRIDE_2
