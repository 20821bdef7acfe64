"""The rewrite `deconv_to_depth_to_space`: transposed convolutions become convolutions and DepthToSpace."""

import copy
from typing import TYPE_CHECKING

from elic_export.passes.rewrites.protocol import Rewrite

if TYPE_CHECKING:
    from torch import nn


class DeconvToDepthToSpace(Rewrite):
    """Every 5x5 stride-2 transposed convolution becomes a `SubpixelDeconv`.

    Measured on g_s at 512x768, ONNX Runtime, 2 cores: 0.86 of the time, and 246 MB less
    at peak, since ONNX Runtime's ConvTranspose expands all 25 taps in memory.
    """

    name = "deconv_to_depth_to_space"

    def of_module(self, module: "nn.Module") -> "nn.Module":
        """A copy of the module with those layers replaced."""
        from elic_export.graphs.subpixel import SubpixelDeconv, is_stride_2

        rewritten = copy.deepcopy(module)
        for name, layer in list(rewritten.named_modules()):
            if is_stride_2(layer):
                rewritten.set_submodule(name, SubpixelDeconv(layer))
        return rewritten
