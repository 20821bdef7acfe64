"""The rewrite `conv_to_space_to_depth`: stride-2 convolutions become SpaceToDepth and convolutions of stride 1."""

import copy
from typing import TYPE_CHECKING

from elic_export.passes.rewrites.protocol import Rewrite

if TYPE_CHECKING:
    from torch import nn


class ConvToSpaceToDepth(Rewrite):
    """Replaces every 5x5 stride-2 convolution by a `SubpixelConv`.

    This is for MNN, whose Winograd convolutions need stride 1. ONNX Runtime, which has none, is slower with it.
    """

    name = "conv_to_space_to_depth"

    def of_module(self, module: "nn.Module") -> "nn.Module":
        """Return a copy of the module with those layers replaced; see `Rewrite.of_module`."""
        from elic_export.graphs.subpixel import SubpixelConv, halves

        rewritten = copy.deepcopy(module)
        for name, layer in list(rewritten.named_modules()):
            if halves(layer):
                rewritten.set_submodule(name, SubpixelConv(layer))
        return rewritten
