"""Functions that rearrange positions, and are exported without shape arithmetic.

PyTorch's own reshapes read the shape of a tensor. In a graph with open dimensions, that becomes Shape, Gather and
Concat nodes. The functions here do the same by Reshape with constant arguments, Transpose and DepthToSpace. None of
them assigns in place, which would be exported as ScatterND.
"""

from typing import Any

import torch
from torch import Tensor
from torch.onnx import symbolic_helper


def halves(full: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Split positions by the parity of row + column.

    This does not use strided slices. NPU compilers leave those to the CPU, and RKNN takes a pair of them for a
    network's "focus" layer.

    Parameters
    ----------
    full : Tensor
        All positions, [B, C, H, W].

    Returns
    -------
    tuple of tuple of Tensor
        The positions of even and of odd parity. Of each, the even and the odd rows, [B, C, H/2, W/2].

    """
    upper_left, upper_right, lower_left, lower_right = corners(full)
    return (upper_left, lower_right), (upper_right, lower_left)


def corners(full: Tensor) -> tuple[Tensor, ...]:
    """Split positions by their place in a 2x2 block.

    Parameters
    ----------
    full : Tensor
        All positions, [B, C, H, W].

    Returns
    -------
    tuple of Tensor
        Upper left, upper right, lower left and lower right positions, each [B, C, H/2, W/2].

    """
    found: tuple[Tensor, ...] = _Corners.apply(full)
    return found


def interleave_rows(even: Tensor, odd: Tensor) -> Tensor:
    """Merge rows.

    Parameters
    ----------
    even, odd : Tensor
        Even and odd rows, each [B, C, H/2, W].

    Returns
    -------
    Tensor
        All rows, [B, C, H, W].

    """
    rows: Tensor = _InterleaveRows.apply(even, odd)
    return rows


def interleave(anchor: Tensor, nonanchor: Tensor, anchor_parity: int) -> Tensor:
    """Merge both halves of the checkerboard.

    Parameters
    ----------
    anchor, nonanchor : Tensor
        Packed anchors and non-anchors, each [B, C, H, W/2].
    anchor_parity : int
        Parity of row + column of the anchors, 0 or 1.

    Returns
    -------
    Tensor
        All positions, [B, C, H, W].

    """
    first, second = (nonanchor, anchor) if anchor_parity else (anchor, nonanchor)
    # In the order of a 2x2 block, by row, then column. The first half has the upper left and the lower right.
    block = (first[:, :, 0::2], second[:, :, 0::2], second[:, :, 1::2], first[:, :, 1::2])
    return depth_to_space(torch.cat(block, dim=1))


def depth_to_space(x: Tensor) -> Tensor:
    """Rearrange channels into blocks of 2x2 positions, as DepthToSpace does in mode DCR.

    This is not PyTorch's pixel_shuffle, which is mode CRD: IREE 3.13 computes that mode wrongly (iree-org/iree issue
    24179).

    Parameters
    ----------
    x : Tensor
        All channels of a block's upper left position, then those of the upper right, the lower left and the lower
        right: [B, 4 C, H, W].

    Returns
    -------
    Tensor
        All positions, [B, C, 2H, 2W].

    """
    full: Tensor = _DepthToSpace.apply(x)
    return full


def space_to_depth(x: Tensor) -> Tensor:
    """Rearrange blocks of 2x2 positions into channels, the inverse of `depth_to_space`.

    Parameters
    ----------
    x : Tensor
        All positions, [B, C, 2H, 2W].

    Returns
    -------
    Tensor
        All channels of a block's upper left position, then those of the upper right, the lower left and the lower
        right: [B, 4 C, H, W].

    """
    blocks: Tensor = _SpaceToDepth.apply(x)
    return blocks


def pad_rows(x: Tensor, top: int, bottom: int, sides: int) -> Tensor:
    """Pad with zeros.

    Parameters
    ----------
    x : Tensor
        The tensor to pad, [B, C, H, W].
    top, bottom : int
        Rows to add above and below.
    sides : int
        Columns to add on the left, and on the right.

    Returns
    -------
    Tensor
        The padded tensor, [B, C, top + H + bottom, W + 2 sides].

    """
    padded: Tensor = _Pad.apply(x, (top, bottom, sides))
    return padded


class _Pad(torch.autograd.Function):
    """Zero padding. PyTorch's own is exported with computed pads, which hide all shapes after it from inference."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pads: tuple[int, int, int]) -> Tensor:  # noqa: ARG004 - torch's signature
        top, bottom, sides = pads
        return torch.nn.functional.pad(x, (sides, sides, top, bottom))

    @staticmethod
    def symbolic(g: Any, x: Any, pads: tuple[int, int, int]) -> Any:
        top, bottom, sides = pads
        return g.op("Pad", x, g.op("Constant", value_t=torch.tensor([0, 0, top, sides, 0, 0, bottom, sides])))


class _InterleaveRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, even: Tensor, odd: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        b, c, h, w = even.shape
        # An even row and the odd row after it, side by side, are in order already: only the shape changes.
        return torch.cat((even, odd), dim=3).reshape(b, c, 2 * h, w)

    @staticmethod
    def symbolic(g: Any, even: Any, odd: Any) -> Any:
        b, c, h, w = _known_sizes(even)
        if None not in (b, c, h, w):
            wide = g.op("Concat", even, odd, axis_i=3)
            rows = g.op("Reshape", wide, g.op("Constant", value_t=torch.tensor([b, c, h and 2 * h, w])))
            _set_sizes(rows, even, b, c, h and 2 * h, w)
            return rows
        # With the rows in the last axis, Reshape keeps the first three axes (0) and merges the last two (-1).
        turned = (g.op("Transpose", rows, perm_i=[0, 1, 3, 2]) for rows in (even, odd))
        pairs = g.op("Concat", *(symbolic_helper._unsqueeze_helper(g, rows, [4]) for rows in turned), axis_i=4)
        merged = g.op("Reshape", pairs, g.op("Constant", value_t=torch.tensor([0, 0, 0, -1])))
        rows = g.op("Transpose", merged, perm_i=[0, 1, 3, 2])
        _set_sizes(rows, even, b, c, h and 2 * h, w)
        return rows


class _Corners(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004 - torch's signature
        return tuple(x[:, :, row::2, column::2].contiguous() for row in (0, 1) for column in (0, 1))

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        b, c, h, w = _known_sizes(x)
        if None not in (b, c, h, w):
            blocks = g.op("SpaceToDepth", x, blocksize_i=2)
            found = [
                symbolic_helper._slice_helper(g, blocks, axes=[1], starts=[i * c], ends=[(i + 1) * c])  # type: ignore[operator]
                for i in range(4)
            ]
        else:
            # IREE 3.13 has no SpaceToDepth for open sizes: split columns, then transpose and split rows.
            left, right = _every_other(g, x)
            upper_left, lower_left = map(_Turn(g), _every_other(g, _Turn(g)(left)))
            upper_right, lower_right = map(_Turn(g), _every_other(g, _Turn(g)(right)))
            found = [upper_left, upper_right, lower_left, lower_right]
        for corner in found:
            _set_sizes(corner, x, b, c, h and h // 2, w and w // 2)
        return tuple(found)


class _Turn:
    """Transposes rows and columns of a value that is being exported."""

    def __init__(self, g: Any) -> None:
        self.g = g

    def __call__(self, x: Any) -> Any:
        return self.g.op("Transpose", x, perm_i=[0, 1, 3, 2])


def _every_other(g: Any, x: Any) -> list[Any]:
    """Return the even and the odd columns, each [B, C, H, W/2], of a value that is being exported."""
    pairs = g.op("Reshape", x, g.op("Constant", value_t=torch.tensor([0, 0, 0, -1, 2])))
    equal = {"num_outputs_i": 2} if g.opset >= 18 else {}
    halves_of_pairs = g.op("Split", pairs, axis_i=4, outputs=2, **equal)
    return [symbolic_helper._squeeze_helper(g, half, [4]) for half in halves_of_pairs]


class _DepthToSpace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        b, c, h, w = x.shape
        blocks = x.reshape(b, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2)  # [B, C, H, row, W, column]
        return blocks.reshape(b, c // 4, 2 * h, 2 * w)

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        full = g.op("DepthToSpace", x, blocksize_i=2, mode_s="DCR")
        b, c, h, w = _known_sizes(x)
        _set_sizes(full, x, b, c and c // 4, h and 2 * h, w and 2 * w)
        return full


class _SpaceToDepth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        b, c, h, w = x.shape
        blocks = x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4)  # [B, row, column, C, H, W]
        return blocks.reshape(b, 4 * c, h // 2, w // 2)

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        blocks = g.op("SpaceToDepth", x, blocksize_i=2)
        b, c, h, w = _known_sizes(x)
        _set_sizes(blocks, x, b, c and 4 * c, h and h // 2, w and w // 2)
        return blocks


def _known_sizes(x: Any) -> tuple[int | None, ...]:
    """Return the four sizes of a value that is being exported, with None for those that are open or unknown."""
    return tuple(symbolic_helper._get_tensor_sizes(x) or (None,) * 4)


def _set_sizes(value: Any, like: Any, *sizes: int | None) -> None:
    """Set the sizes that are known, so that later chunks and reshapes do not read them from the graph at run time."""
    if any(size is not None for size in sizes):
        value.setType(like.type().with_sizes(list(sizes)))
