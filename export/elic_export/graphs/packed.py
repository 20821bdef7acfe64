"""The context model as two modules per slice, which compute each position once.

The reference is `elic_models.context.SliceContext`, which runs both passes over all positions. These modules have the
same weights and compute the same numbers, up to the order of float sums, with less work:

- The parameter net's first layer is a sum of three terms. Those of the channel context and of the hyper parameters are
  the same in both passes. They are computed once, and called the `support`.
- In the anchor pass the spatial context is zero, so its term is left out. In variants whose anchor pass has a net of
  its own, that net is computed on the anchor half, and the support on the other half.
- The parameter nets are 1x1 convolutions, so each pass runs on its own packed half.
- The spatial context of the non-anchor half is a convolution of the packed anchor half, whose kernel differs between
  even and odd rows.
"""

from typing import cast

import torch
from elic_models.context import SliceContext
from elic_models.layers import CheckerboardConv2d
from torch import Tensor, nn

from elic_export.graphs.reshapes import halves, interleave_rows, pad_rows


class PackedSpatialConv(nn.Module):
    """The checkerboard-masked 5x5 convolution, from packed anchors to packed non-anchors.

    A packed row keeps every other column, so the anchors around a non-anchor lie at other packed columns than they do
    in the full row. In rows at an odd distance they lie at columns -1, 0 and +1. In rows at an even distance they lie
    at columns 0 and +1 if the row's non-anchors are its odd columns, and at -1 and 0 if they are its even columns.

    Parameters
    ----------
    weight : Tensor
        The masked kernel, [out, in, 5, 5].
    bias : Tensor, optional
        The bias, [out].
    anchor_parity : int
        Parity of row + column of the anchors, 0 or 1.

    """

    def __init__(self, weight: Tensor, bias: Tensor | None, anchor_parity: int) -> None:
        super().__init__()
        # In even rows, the non-anchors are at the odd columns if anchor_parity is 0.
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
        """Convolve packed anchors [B, in, H, W/2] to packed non-anchors [B, out, H, W/2]."""
        even = self.rows[0](pad_rows(x, 2, 1, 1))  # [B, out, H/2, W/2]
        odd = self.rows[1](pad_rows(x, 1, 2, 1))
        return interleave_rows(even, odd)


def _first_layer_term(context: SliceContext, columns: slice, with_bias: bool) -> nn.Conv2d:
    """Return the parameter net's first layer, a 1x1 convolution, restricted to some of its input channels."""
    conv = cast(nn.Conv2d, context.aggregation[0])
    weight = conv.weight[:, columns]
    part = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=with_bias)
    part.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if with_bias and conv.bias is not None:
        part.bias = nn.Parameter(conv.bias.clone(), requires_grad=False)
    return part


class AnchorContext(nn.Module):
    """The subgraph `context_{k}_anchor`.

    Parameters
    ----------
    context : SliceContext
        The context model of slice k.
    anchor_parity : int
        Parity of row + column of the anchors, 0 or 1.

    """

    def __init__(self, context: SliceContext, anchor_parity: int) -> None:
        super().__init__()
        self.anchor_parity = anchor_parity
        self.channel = context.channel
        self.support = _first_layer_term(context, slice(2 * context.channels, None), with_bias=True)
        self.own_net = context.anchor_aggregation
        self.rest = context.aggregation[1:] if self.own_net is None else None

    def forward(self, latent_means: Tensor, latent_scales: Tensor, *y_hat_slices: Tensor) -> tuple[Tensor, ...]:
        """Compute the parameters of the anchor pass, and the support of the non-anchor pass.

        Parameters
        ----------
        latent_means, latent_scales : Tensor
            Output of h_s, each [B, L, H/16, W/16].
        *y_hat_slices : Tensor
            The decoded slices that the channel context reads, each [B, C, H/16, W/16].

        Returns
        -------
        tuple of Tensor
            Means and scales of the anchors, each [B, C, H/16, W/32], and the support at the non-anchors,
            [B, S, H/16, W/32].

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
        """Split [B, C, H/16, W/16] into anchors and non-anchors, each [B, C, H/16, W/32]."""
        even, odd = (interleave_rows(*rows) for rows in halves(full))
        return (odd, even) if self.anchor_parity else (even, odd)


class NonAnchorContext(nn.Module):
    """The subgraph `context_{k}_nonanchor`.

    Parameters
    ----------
    context : SliceContext
        The context model of slice k.
    anchor_parity : int
        Parity of row + column of the anchors, 0 or 1.

    """

    def __init__(self, context: SliceContext, anchor_parity: int) -> None:
        super().__init__()
        # In exact arithmetic, the convolution is the middle one of three layers.
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
        """Compute the parameters of the non-anchor pass.

        Parameters
        ----------
        y_hat_anchor : Tensor
            Decoded anchors, [B, C, H/16, W/32].
        support : Tensor
            Output of the anchor pass, [B, S, H/16, W/32].

        Returns
        -------
        tuple of Tensor
            Means and scales of the non-anchors, each [B, C, H/16, W/32].

        """
        means, scales = self.rest(self.term(self.spatial(y_hat_anchor)) + support).chunk(2, dim=1)
        return means, scales
