"""The context model as two graphs per slice, each position computed once.

`elic_models.context.SliceContext` is the reference: it runs both passes over all
positions. These modules hold the same weights and give the same numbers, up to the
order of float sums, for less work:

- the parameter net's first layer is a sum of three terms. Channel context and hyper
  parameters go through it once, for both passes: the `support`;
- in the anchor pass the spatial context is zeros, so its term is not there; a variant
  whose anchor pass has its own net computes that one, and the support, on one half each;
- the parameter nets are 1x1, so each pass runs on its own packed half;
- the spatial context of the non-anchor half is a convolution of the packed anchor
  half, with kernels that differ between even and odd rows.
"""

from typing import cast

import torch
from elic_models.context import SliceContext
from elic_models.layers import CheckerboardConv2d
from torch import Tensor, nn

from elic_export.graphs.reshapes import halves, interleave_rows, pad_rows


class PackedSpatialConv(nn.Module):
    """The checkerboard-masked 5x5 convolution, from packed anchors to packed non-anchors.

    A packed row keeps every other column. Seen from a row whose non-anchors are the
    odd columns, the anchors of rows an even distance away lie at packed columns 0 and
    +1, seen from the other rows at -1 and 0; at an odd distance at -1, 0 and +1.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, anchor_parity: int) -> None:
        """weight: [out, in, 5, 5], masked; bias: [out]."""
        super().__init__()
        # Row parity 0 has its non-anchors at the odd columns if anchor_parity is 0.
        self.rows = nn.ModuleList(self._row_conv(weight, bias, row ^ anchor_parity) for row in (0, 1))

    @staticmethod
    def _row_conv(weight: Tensor, bias: Tensor | None, side: int) -> nn.Conv2d:
        out_ch, in_ch = weight.shape[:2]
        conv = nn.Conv2d(in_ch, out_ch, (5, 3), stride=(2, 1), bias=bias is not None)
        packed = torch.zeros(out_ch, in_ch, 5, 3)
        packed[:, :, 1::2, :] = weight[:, :, 1::2, 0::2]
        first = 0 if side else 1
        packed[:, :, 0::2, first : first + 2] = weight[:, :, 0::2, 1::2]
        conv.weight = nn.Parameter(packed, requires_grad=False)
        if bias is not None:
            conv.bias = nn.Parameter(bias.clone(), requires_grad=False)
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W/2] -> [B, out, H, W/2]"""
        even = self.rows[0](pad_rows(x, 2, 1, 1))  # [B, out, H/2, W/2]
        odd = self.rows[1](pad_rows(x, 1, 2, 1))
        return interleave_rows(even, odd)


def _first_layer_term(context: SliceContext, columns: slice, with_bias: bool) -> nn.Conv2d:
    """The parameter net's first layer for some of its input channels: a 1x1 convolution."""
    conv = cast(nn.Conv2d, context.aggregation[0])
    weight = conv.weight[:, columns]
    part = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=with_bias)
    part.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if with_bias and conv.bias is not None:
        part.bias = nn.Parameter(conv.bias.clone(), requires_grad=False)
    return part


class AnchorContext(nn.Module):
    """`context_{k}_anchor`."""

    def __init__(self, context: SliceContext, anchor_parity: int) -> None:
        super().__init__()
        self.anchor_parity = anchor_parity
        self.channel = context.channel
        self.support = _first_layer_term(context, slice(2 * context.channels, None), with_bias=True)
        self.own_net = context.anchor_aggregation
        self.rest = context.aggregation[1:] if self.own_net is None else None

    def forward(self, latent_means: Tensor, latent_scales: Tensor, *y_hat_slices: Tensor) -> tuple[Tensor, ...]:
        """Parameters of the anchor pass, and what the other pass needs.

        latent_means, latent_scales: [B, L, H/16, W/16].
        y_hat_slices: those that the variant's channel context reads, [B, C, H/16, W/16].
        Returns means and scales [B, C, H/16, W/32] and support [B, S, H/16, W/32],
        the latter at the non-anchor positions.
        """
        terms = [latent_means, latent_scales]
        if self.channel is not None:
            terms.insert(0, self.channel(torch.cat(y_hat_slices, dim=1)))
        shared = torch.cat(terms, dim=1)
        if self.own_net is not None:
            anchor, other = self._pack(shared)
            means, scales = self.own_net(anchor).chunk(2, dim=1)
            return means, scales, self.support(other)
        anchor, other = self._pack(self.support(shared))  # [B, S, H/16, W/32]
        assert self.rest is not None  # noqa: S101 - as __init__ sets it
        means, scales = self.rest(anchor).chunk(2, dim=1)
        return means, scales, other

    def _pack(self, full: Tensor) -> tuple[Tensor, Tensor]:
        """Anchor and non-anchor positions, each [B, C, H/16, W/32]."""
        even, odd = (interleave_rows(*rows) for rows in halves(full))
        return (odd, even) if self.anchor_parity else (even, odd)


class NonAnchorContext(nn.Module):
    """`context_{k}_nonanchor`."""

    def __init__(self, context: SliceContext, anchor_parity: int) -> None:
        super().__init__()
        # One convolution, or in exact arithmetic three layers with it in the middle.
        layers = context.spatial if isinstance(context.spatial, nn.Sequential) else [context.spatial]
        self.spatial = nn.Sequential(
            *(
                PackedSpatialConv(layer.masked_weight, layer.bias, anchor_parity)
                if isinstance(layer, CheckerboardConv2d)
                else layer
                for layer in layers
            )
        )
        self.term = _first_layer_term(context, slice(0, 2 * context.channels), with_bias=False)
        self.rest = context.aggregation[1:]

    def forward(self, y_hat_anchor: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of the non-anchor pass.

        y_hat_anchor: [B, C, H/16, W/32]; support: [B, S, H/16, W/32].
        Returns means and scales, [B, C, H/16, W/32].
        """
        means, scales = self.rest(self.term(self.spatial(y_hat_anchor)) + support).chunk(2, dim=1)
        return means, scales
