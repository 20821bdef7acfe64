"""The checkerboard: which positions of a slice each pass codes, and their packed form.

A slice is coded in two passes, `ANCHOR` and `NONANCHOR`. The positions of a pass are those where row + column is
even (parity 0) or odd (parity 1). The anchor pass has the variant's `anchor_parity`; the other pass has the other.
"""

import torch
from torch import Tensor


def spatial_mask(kernel_size: int) -> Tensor:
    """Return the mask of a spatial context kernel: 1 at the taps that meet the other pass's positions, 0 elsewhere.

    Parameters
    ----------
    kernel_size : int
        Height and width of the kernel; odd.

    Returns
    -------
    Tensor
        float32 [kernel_size, kernel_size].

    """
    taps = torch.arange(kernel_size)
    distance = (taps[:, None] - kernel_size // 2).abs() + (taps[None, :] - kernel_size // 2).abs()
    return (distance % 2).float()


def pack(full: Tensor, parity: int) -> Tensor:
    """Keep the positions of one parity.

    Parameters
    ----------
    full : Tensor
        [B, C, H, W], with H and W even.
    parity : int
        Parity of row + column, 0 or 1, at the positions to keep.

    Returns
    -------
    Tensor
        [B, C, H, W/2]. Each row holds its kept values in order.

    """
    b, c, h, w = full.shape
    even_rows = full[:, :, 0::2, parity::2]  # [B, C, H/2, W/2]
    odd_rows = full[:, :, 1::2, 1 - parity :: 2]
    # Each row of this concatenation is an even row followed by its odd one, so a reshape puts all rows in order.
    return torch.cat((even_rows, odd_rows), dim=3).reshape(b, c, h, w // 2)


def unpack(packed: Tensor, parity: int) -> Tensor:
    """Put packed values back in their positions, and zeros in the others: the inverse of `pack`.

    Parameters
    ----------
    packed : Tensor
        [B, C, H, W/2].
    parity : int
        Parity of row + column, 0 or 1, at the positions of the values.

    Returns
    -------
    Tensor
        [B, C, H, W].

    """
    b, c, h, w = packed.shape
    full = packed.new_zeros(b, c, h, 2 * w)
    full[:, :, 0::2, parity::2] = packed[:, :, 0::2]
    full[:, :, 1::2, 1 - parity :: 2] = packed[:, :, 1::2]
    return full
