"""The walk over slices and passes, which runs the context subgraphs and exchanges symbols with the entropy coder.

Encoder and decoder run the same walk with the same subgraphs; they differ in where the symbols of a pass come from. The
positions of a pass are packed as [C, H, W/2].
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from elic_runtime.model_info import ModelInfo
from elic_runtime.runners import Arrays, Runner
from elic_runtime.subgraphs import ANCHOR, NONANCHOR, pass_name

Floats = NDArray[np.float32]
Symbols = NDArray[np.int32]


class PassCoder(Protocol):
    """The function that a walk calls at each pass: it encodes the pass's symbols, or decodes them."""

    def __call__(self, k: int, half: int, means: Floats, scales: Floats, /) -> Symbols:
        """Return the symbols of slice k and pass `half`: int32 [B, C, H, W/2], like `means` and `scales`."""
        ...


def pack(full: NDArray[np.float32], parity: int) -> Floats:
    """Keep the positions of one parity.

    Parameters
    ----------
    full : ndarray
        [B, C, H, W], with H and W even.
    parity : int
        Parity of row + column, 0 or 1, at the positions to keep.

    Returns
    -------
    ndarray
        [B, C, H, W/2]. Each row holds its kept values in order.

    """
    b, c, h, w = full.shape
    packed = np.empty((b, c, h, w // 2), dtype=full.dtype)
    packed[:, :, 0::2] = full[:, :, 0::2, parity::2]
    packed[:, :, 1::2] = full[:, :, 1::2, 1 - parity :: 2]
    return packed


def interleave(anchor: Floats, nonanchor: Floats, anchor_parity: int, out: Floats) -> None:
    """Write the two packed halves of a slice to their positions.

    Parameters
    ----------
    anchor, nonanchor : ndarray
        [B, C, H, W/2].
    anchor_parity : int
        Parity of row + column, 0 or 1, at anchor positions.
    out : ndarray
        Where to write: [B, C, H, W].

    """
    for parity, packed in ((anchor_parity, anchor), (1 - anchor_parity, nonanchor)):
        out[:, :, 0::2, parity::2] = packed[:, :, 0::2]
        out[:, :, 1::2, 1 - parity :: 2] = packed[:, :, 1::2]


def _dequantize(symbols: Symbols, means: Floats, step: float) -> Floats:
    if step == 1:
        return np.add(symbols, means, dtype=np.float32)
    scaled = np.multiply(symbols, np.float32(step), dtype=np.float32)
    return np.add(scaled, means, out=scaled)


class ContextModel:
    """The context subgraphs of a bundle.

    Parameters
    ----------
    model : ModelInfo
        Widths and wiring of the model.
    load : callable
        Returns the runner of the subgraph with a given name.

    """

    def __init__(self, model: ModelInfo, load: Callable[[str], Runner]) -> None:
        self.model = model
        self._runners = [[load(pass_name(k, half)) for half in (ANCHOR, NONANCHOR)] for k in range(len(model.groups))]

    def walk(self, latents: Arrays, code: PassCoder, out: Floats | None = None, step: float = 1) -> Floats:
        """Run every pass in coding order.

        Parameters
        ----------
        latents : dict of str to ndarray
            The outputs of h_s: float32 [B, L, H, W], where L is the model's `latent_channels`. The dictionary is
            emptied once no pass needs them, so that their memory is free for the last passes, which are the largest.
        code : PassCoder
            Encodes or decodes the symbols of a pass.
        out : ndarray, optional
            Where to write y_hat. It may be the encoder's y, of which a slice is not needed once it is coded.
        step : float
            By how much y_hat grows with a symbol.

        Returns
        -------
        ndarray
            y_hat: float32 [B, M, H, W].

        """
        model = self.model
        batch, _, height, width = latents["latent_means"].shape
        y_hat = np.empty((batch, model.M, height, width), np.float32) if out is None else out
        last = np.cumsum(model.groups)
        slices = [y_hat[:, end - size : end] for end, size in zip(last, model.groups, strict=True)]
        for k in range(len(slices)):
            self._walk_slice(k, latents, slices, code, step)
        return y_hat

    def _walk_slice(self, k: int, latents: Arrays, slices: Sequence[Floats], code: PassCoder, step: float) -> None:
        """Run both passes of a slice, and write it. Arrays are released as soon as possible."""
        run_anchor, run_nonanchor = self._runners[k]
        anchor = run_anchor(latents | {f"y_hat_{i}": slices[i] for i in self.model.context_slices[k]})
        if k == len(slices) - 1:
            latents.clear()
        means, support = anchor["means"], anchor["support"]
        symbols = code(k, ANCHOR, means, anchor["scales"])
        del anchor
        y_hat_anchor = _dequantize(symbols, means, step)
        del means, symbols
        nonanchor = run_nonanchor({"y_hat_anchor": y_hat_anchor, "support": support})
        del support
        symbols = code(k, NONANCHOR, nonanchor["means"], nonanchor["scales"])
        y_hat_nonanchor = _dequantize(symbols, nonanchor["means"], step)
        interleave(y_hat_anchor, y_hat_nonanchor, self.model.anchor_parity, slices[k])
