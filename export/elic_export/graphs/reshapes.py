"""Reordering of positions, in forms that export without shape arithmetic.

PyTorch's own reshapes ask a tensor for its shape, which in a graph with open
dimensions becomes Shape, Gather and Concat nodes. These say the same by Reshape with
constant arguments, Transpose and DepthToSpace. In-place assignment, which would export
as ScatterND, is nowhere.
"""

from typing import Any

import torch
from torch import Tensor
from torch.onnx import symbolic_helper


def pack(full: Tensor, parity: int) -> Tensor:
    """Keep the positions whose row + column has this parity: [B, C, H, W] -> [B, C, H, W/2]."""
    even, odd = halves(full)[parity]
    return interleave_rows(even, odd)


def halves(full: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Even and odd rows of the positions whose row + column is even, and of the others: [B, C, H/2, W/2] each.

    Not by strided slices: beside an NPU they run on the CPU, and RKNN takes two of them
    for a network's "focus" layer, which they are not.
    """
    upper_left, upper_right, lower_left, lower_right = corners(full)
    return (upper_left, lower_right), (upper_right, lower_left)


def corners(full: Tensor) -> tuple[Tensor, ...]:
    """Upper left, upper right, lower left and lower right of each 2x2 block: 4 x [B, C, H/2, W/2]."""
    found: tuple[Tensor, ...] = _Corners.apply(full)
    return found


def interleave_rows(even: Tensor, odd: Tensor) -> Tensor:
    """Even and odd rows, 2 x [B, C, H/2, W] -> [B, C, H, W]."""
    rows: Tensor = _InterleaveRows.apply(even, odd)
    return rows


def interleave(anchor: Tensor, nonanchor: Tensor, anchor_parity: int) -> Tensor:
    """Both halves of the checkerboard, 2 x [B, C, H, W/2] -> [B, C, H, W]."""
    first, second = (nonanchor, anchor) if anchor_parity else (anchor, nonanchor)
    # By row, then column of a 2x2 block: the first half has its upper left and lower right.
    block = (first[:, :, 0::2], second[:, :, 0::2], second[:, :, 1::2], first[:, :, 1::2])
    return depth_to_space(torch.cat(block, dim=1))


def depth_to_space(x: Tensor) -> Tensor:
    """[B, 4 C, H, W] -> [B, C, 2H, 2W], the channels being those of one corner of a 2x2 block after the other's.

    Not PyTorch's pixel_shuffle, where the four corners of one channel lie side by side:
    IREE 3.13 computes that mode of DepthToSpace, CRD, wrongly (iree-org/iree issue 24179).
    """
    full: Tensor = _DepthToSpace.apply(x)
    return full


def pad_rows(x: Tensor, top: int, bottom: int, sides: int) -> Tensor:
    """Zeros around [B, C, H, W] -> [B, C, top + H + bottom, W + 2 sides]."""
    padded: Tensor = _Pad.apply(x, (top, bottom, sides))
    return padded


class _Pad(torch.autograd.Function):
    """PyTorch's own computes its constants in the graph, after which no shape is known there."""

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
        # Side by side in a row of 2 W, rows are already in order: only the shape changes.
        return torch.cat((even, odd), dim=3).reshape(b, c, 2 * h, w)

    @staticmethod
    def symbolic(g: Any, even: Any, odd: Any) -> Any:
        b, c, h, w = _known_sizes(even)
        if None not in (b, c, h, w):
            wide = g.op("Concat", even, odd, axis_i=3)
            rows = g.op("Reshape", wide, g.op("Constant", value_t=torch.tensor([b, c, h and 2 * h, w])))
            _set_sizes(rows, even, b, c, h and 2 * h, w)
            return rows
        # The last two dimensions become one by -1, the first three stay by 0, if rows come last.
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
            # IREE 3.13 has no SpaceToDepth of open sizes: columns apart, then, turned, rows.
            left, right = _every_other(g, x)
            upper_left, lower_left = map(_Turn(g), _every_other(g, _Turn(g)(left)))
            upper_right, lower_right = map(_Turn(g), _every_other(g, _Turn(g)(right)))
            found = [upper_left, upper_right, lower_left, lower_right]
        for corner in found:
            _set_sizes(corner, x, b, c, h and h // 2, w and w // 2)
        return tuple(found)


class _Turn:
    """Rows and columns of a value that is being exported change places."""

    def __init__(self, g: Any) -> None:
        self.g = g

    def __call__(self, x: Any) -> Any:
        return self.g.op("Transpose", x, perm_i=[0, 1, 3, 2])


def _every_other(g: Any, x: Any) -> list[Any]:
    """Even and odd columns, 2 x [B, C, H, W/2], of a value that is being exported."""
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


def _known_sizes(x: Any) -> tuple[int | None, ...]:
    """Four sizes of a value that is being exported, None where they are open or not known."""
    return tuple(symbolic_helper._get_tensor_sizes(x) or (None,) * 4)


def _set_sizes(value: Any, like: Any, *sizes: int | None) -> None:
    """What follows sees what is fixed: without, chunks and reshapes would ask the graph for its shape."""
    if any(size is not None for size in sizes):
        value.setType(like.type().with_sizes(list(sizes)))
