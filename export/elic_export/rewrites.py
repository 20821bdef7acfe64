"""Exact rewrites, chosen by name in the config: the same numbers by other graphs or operators.

Some are of a module before its export. Subgraphs that decide symbols are left out of
those: another order of float sums is another bit stream, and the proof of exact ones is
of their layers as they are. Some are of the exported graph and keep every sum: all
graphs get these. Some add a graph to those that a form has. Masks of checkerboard
convolutions are always folded into their weights (`packed.py`).
"""

import copy
from collections.abc import Callable

import onnx
import torch
from torch import Tensor, nn

from elic_export.reshapes import depth_to_space

ModuleRewrite = Callable[[nn.Module], nn.Module]
GraphRewrite = Callable[[onnx.ModelProto], None]
"""Changes the graph in place."""


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


def deconv_to_depth_to_space(module: nn.Module) -> nn.Module:
    """Every 5x5 stride-2 transposed convolution becomes a `SubpixelDeconv`.

    Measured on g_s at 512x768, ONNX Runtime, 2 cores: 0.86 of the time, and 246 MB less
    at peak, since ONNX Runtime's ConvTranspose expands all 25 taps in memory.
    """
    rewritten = copy.deepcopy(module)
    for name, part in list(rewritten.named_modules()):
        if isinstance(part, nn.ConvTranspose2d) and _geometry(part) == _STRIDE_2:
            rewritten.set_submodule(name, SubpixelDeconv(part))
    return rewritten


def fold_output_padding(graph: onnx.ModelProto) -> None:
    """ConvTranspose's output_padding becomes fewer pads at its end: a row or column less is cut off there.

    RKNN's compiler drops output_padding. One that is larger than the pads stays as it is.
    """
    for node in graph.graph.node:
        attributes = {a.name: a for a in node.attribute}
        if node.op_type != "ConvTranspose" or "output_padding" not in attributes:
            continue
        extra = list(attributes["output_padding"].ints)
        pads = list(attributes["pads"].ints) if "pads" in attributes else [0] * 2 * len(extra)
        ends = [pad - more for pad, more in zip(pads[len(extra) :], extra, strict=True)]
        if min(ends) < 0:
            continue
        for name in ("output_padding", "pads"):
            if name in attributes:
                node.attribute.remove(attributes[name])
        node.attribute.append(onnx.helper.make_attribute("pads", pads[: len(extra)] + ends))


MODULE_REWRITES: dict[str, ModuleRewrite] = {"deconv_to_depth_to_space": deconv_to_depth_to_space}

GRAPH_REWRITES: dict[str, GraphRewrite] = {"fold_output_padding": fold_output_padding}
