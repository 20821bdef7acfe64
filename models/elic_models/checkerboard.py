"""The checkerboard: which half of a slice a pass codes, and its packed form.

The two passes of a slice are `ANCHOR` and `NONANCHOR`. `parity` below is that of
row + column of a pass's positions: the variant's `anchor_parity` for the anchor
pass, the other for the non-anchor pass.
"""

import torch
from torch import Tensor


def spatial_mask(kernel_size: int) -> Tensor:
    """Taps of a spatial context kernel that meet the other half: [kernel, kernel] of 0 and 1."""
    taps = torch.arange(kernel_size)
    distance = (taps[:, None] - kernel_size // 2).abs() + (taps[None, :] - kernel_size // 2).abs()
    return (distance % 2).float()


def pack(full: Tensor, parity: int) -> Tensor:
    """Keep the positions of one parity: [B, C, H, W] -> [B, C, H, W/2]."""
    b, c, h, w = full.shape
    even_rows = full[:, :, 0::2, parity::2]  # [B, C, H/2, W/2]
    odd_rows = full[:, :, 1::2, 1 - parity :: 2]
    # Side by side in a row of W, rows are already in order: only the shape changes.
    return torch.cat((even_rows, odd_rows), dim=3).reshape(b, c, h, w // 2)


def unpack(packed: Tensor, parity: int) -> Tensor:
    """Put packed values back, zeros elsewhere: [B, C, H, W/2] -> [B, C, H, W]."""
    b, c, h, w = packed.shape
    full = packed.new_zeros(b, c, h, 2 * w)
    full[:, :, 0::2, parity::2] = packed[:, :, 0::2]
    full[:, :, 1::2, 1 - parity :: 2] = packed[:, :, 1::2]
    return full
