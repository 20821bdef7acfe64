"""The walk over slices and passes: context subgraphs on one side, symbols on the other.

Encoder and decoder run this same walk over the same subgraphs; they differ in where a
pass's symbols come from. Positions are packed as the model packs them: [C, H, W/2].
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from elic_runtime.model_info import ModelInfo
from elic_runtime.runners import Runner
from elic_runtime.subgraphs import ANCHOR, NONANCHOR, pass_name

Floats = NDArray[np.float32]
Symbols = NDArray[np.int32]


class PassCoder(Protocol):
    """What a walk does at each pass."""

    def __call__(self, k: int, half: int, means: Floats, scales: Floats, /) -> Symbols:
        """Symbols int32 of slice k, pass `half`, shaped like its means and scales [B, C, H, W/2]."""
        ...


def pack(full: NDArray[np.float32], parity: int) -> Floats:
    """The positions whose row + column have this parity: [B, C, H, W] -> [B, C, H, W/2]."""
    b, c, h, w = full.shape
    packed = np.empty((b, c, h, w // 2), dtype=full.dtype)
    packed[:, :, 0::2] = full[:, :, 0::2, parity::2]
    packed[:, :, 1::2] = full[:, :, 1::2, 1 - parity :: 2]
    return packed


def interleave(anchor: Floats, nonanchor: Floats, anchor_parity: int, out: Floats) -> None:
    """Both halves of a slice, [B, C, H, W/2] each, back into `out` [B, C, H, W]."""
    for parity, packed in ((anchor_parity, anchor), (1 - anchor_parity, nonanchor)):
        out[:, :, 0::2, parity::2] = packed[:, :, 0::2]
        out[:, :, 1::2, 1 - parity :: 2] = packed[:, :, 1::2]


def _dequantize(symbols: Symbols, means: Floats) -> Floats:
    return symbols.astype(np.float32) + means


class ContextModel:
    """The context subgraphs of a bundle, ready to walk."""

    def __init__(self, model: ModelInfo, load: Callable[[str], Runner]) -> None:
        """load: gives the runner of a subgraph by name."""
        self.model = model
        self._runners = [[load(pass_name(k, half)) for half in (ANCHOR, NONANCHOR)] for k in range(len(model.groups))]

    def walk(self, latent_means: Floats, latent_scales: Floats, code: PassCoder) -> Floats:
        """Run every pass in coding order.

        latent_means, latent_scales: [B, C, H, W], from h_s.
        code: gives or takes the symbols of a pass.
        Returns y_hat [B, M, H, W].
        """
        model = self.model
        batch, _, height, width = latent_means.shape
        y_hat = np.empty((batch, model.M, height, width), latent_means.dtype)
        slices: list[Floats] = []
        first = 0
        for k, channels in enumerate(model.groups):
            inputs = {"latent_means": latent_means, "latent_scales": latent_scales}
            inputs |= {f"y_hat_{i}": slices[i] for i in model.context_slices[k]}
            anchor = self._runners[k][ANCHOR](inputs)
            y_hat_anchor = _dequantize(code(k, ANCHOR, anchor["means"], anchor["scales"]), anchor["means"])
            nonanchor = self._runners[k][NONANCHOR]({"y_hat_anchor": y_hat_anchor, "support": anchor["support"]})
            symbols = code(k, NONANCHOR, nonanchor["means"], nonanchor["scales"])
            y_hat_nonanchor = _dequantize(symbols, nonanchor["means"])
            y_hat_slice = y_hat[:, first : first + channels]
            interleave(y_hat_anchor, y_hat_nonanchor, model.anchor_parity, y_hat_slice)
            slices.append(y_hat_slice)
            first += channels
        return y_hat
