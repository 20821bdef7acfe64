"""The space-channel context model of one slice (SCCTX, He et al. 2022, figure 4)."""

import torch
from torch import Tensor, nn

from elic_models.layers import CheckerboardConv2d, conv, conv1x1
from elic_models.spec import ANCHOR, NONANCHOR, ModelSpec

CHANNEL_CONTEXT_WIDTHS = (224, 128)
"""Hidden channels of g_ch, from Minnen and Singh 2020 (arXiv 2007.08739)."""


class SliceContext(nn.Module):
    """Means and scales of one slice's symbols, pass by pass.

    ```
    y_hat slices ─ channel ─┐
    latent means, scales ───┴─ support ─┬─────────────┐
                                zeros ──┴ aggregation │─> anchor means, scales
           y_hat at the anchors ─ spatial ────────────┴ aggregation ─> the rest
    ```

    channel: g_ch^(k), from decoded slices; none for slice 0.
    spatial: g_sp^(k), from the anchor half of this slice.
    aggregation: the parameter net, 1x1 convolutions, of both passes or, where each has
        its own, of the non-anchor pass.
    anchor_aggregation: the anchor pass's own net, of the support alone (jiang); None
        where `aggregation` serves both.

    Means come first out of each net, in all variants: `checkpoint.py` swaps the halves
    of those that were trained the other way round.
    """

    def __init__(self, spec: ModelSpec, k: int) -> None:
        super().__init__()
        self.k = k
        self.channels = spec.groups[k]
        self.context_slices = spec.wiring.context_slices(k)
        params = 2 * self.channels
        a, b = CHANNEL_CONTEXT_WIDTHS
        self.channel = (
            nn.Sequential(
                conv(spec.context_channels(k), a, stride=1),
                nn.ReLU(),
                conv(a, b, stride=1),
                nn.ReLU(),
                conv(b, params, stride=1),
            )
            if k
            else None
        )
        # Jiang's has no mask and needs none: its input is zero off the anchors and its
        # output is read off the anchors, where the taps that a mask removes, at even
        # distance, meet those zeros. With the mask it gives the same there.
        self.spatial: nn.Module = CheckerboardConv2d(self.channels, params)
        self.aggregation = _parameter_net(spec, k, NONANCHOR)
        self.anchor_aggregation = _parameter_net(spec, k, ANCHOR) if spec.wiring.nets_per_pass else None

    @property
    def support_channels(self) -> int:
        """Channels of the support once it is through the first layer of `aggregation`."""
        first = self.aggregation[0]
        assert isinstance(first, nn.Conv2d)  # noqa: S101 - as _parameter_net builds it
        return first.out_channels

    def support(self, latent_means: Tensor, latent_scales: Tensor, y_hat_slices: list[Tensor]) -> Tensor:
        """What both passes share.

        latent_means, latent_scales: [B, L, H/16, W/16], from h_s; L is the spec's `latent_channels`.
        y_hat_slices: the slices decoded so far, each [B, C, H/16, W/16].
        Returns [B, 2L (+ 2C), H/16, W/16].
        """
        hyper = (latent_means, latent_scales)
        if self.channel is None:
            return torch.cat(hyper, dim=1)
        decoded = torch.cat([y_hat_slices[i] for i in self.context_slices], dim=1)
        return torch.cat((self.channel(decoded), *hyper), dim=1)

    def anchor(self, support: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales for the anchor pass, right at anchor positions: 2 x [B, C, H/16, W/16]."""
        if self.anchor_aggregation is not None:
            return _means_scales(self.anchor_aggregation(support))
        b, _, h, w = support.shape
        no_context = support.new_zeros(b, 2 * self.channels, h, w)
        return _means_scales(self.aggregation(torch.cat((no_context, support), dim=1)))

    def nonanchor(self, support: Tensor, y_hat_anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales for the other pass; `y_hat_anchor` [B, C, H/16, W/16] is zero off the anchors."""
        context = self.spatial(y_hat_anchor)
        return _means_scales(self.aggregation(torch.cat((context, support), dim=1)))


def _parameter_net(spec: ModelSpec, k: int, half: int) -> nn.Sequential:
    """(spatial context,) support -> means and scales in one: [B, 2C, H/16, W/16]."""
    wide, narrow = spec.aggregation_widths(k, half)
    return nn.Sequential(
        conv1x1(spec.aggregation_inputs(k, half), wide),
        nn.ReLU(),
        conv1x1(wide, narrow),
        nn.ReLU(),
        conv1x1(narrow, 2 * spec.groups[k]),
    )


def _means_scales(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 2C, H, W] -> 2 x [B, C, H, W]."""
    means, scales = parameters.chunk(2, dim=1)
    return means, scales
