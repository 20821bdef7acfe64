"""The space-channel context model of one slice (SCCTX, He et al. 2022, figure 4)."""

import torch
from torch import Tensor, nn

from elic_models.layers import CheckerboardConv2d, conv, conv1x1
from elic_models.spec import ModelSpec

CHANNEL_CONTEXT_WIDTHS = (224, 128)
"""Hidden channels of g_ch, from Minnen and Singh 2020 (arXiv 2007.08739)."""

AGGREGATION_WIDTHS = (640, 512)
"""Hidden channels of the parameter nets, from ELiC-ReImplemetation's Network.py."""


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
    aggregation: the parameter net, 1x1 convolutions, shared by both passes.
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
        self.spatial: nn.Module = CheckerboardConv2d(self.channels, params)
        hidden, narrow = AGGREGATION_WIDTHS
        support = 2 * spec.M + (params if k else 0)
        self.aggregation = nn.Sequential(
            conv1x1(params + support, hidden), nn.ReLU(), conv1x1(hidden, narrow), nn.ReLU(), conv1x1(narrow, params)
        )

    def support(self, latent_means: Tensor, latent_scales: Tensor, y_hat_slices: list[Tensor]) -> Tensor:
        """What both passes share.

        latent_means, latent_scales: [B, M, H/16, W/16], from h_s.
        y_hat_slices: the slices decoded so far, each [B, C, H/16, W/16].
        Returns [B, 2M (+ 2C), H/16, W/16].
        """
        hyper = (latent_means, latent_scales)
        if self.channel is None:
            return torch.cat(hyper, dim=1)
        decoded = torch.cat([y_hat_slices[i] for i in self.context_slices], dim=1)
        return torch.cat((self.channel(decoded), *hyper), dim=1)

    def anchor(self, support: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales for the anchor pass, right at anchor positions: 2 x [B, C, H/16, W/16]."""
        b, _, h, w = support.shape
        no_context = support.new_zeros(b, 2 * self.channels, h, w)
        return self._aggregate(no_context, support)

    def nonanchor(self, support: Tensor, y_hat_anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales for the other pass; `y_hat_anchor` [B, C, H/16, W/16] is zero off the anchors."""
        return self._aggregate(self.spatial(y_hat_anchor), support)

    def _aggregate(self, spatial: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        means, scales = self.aggregation(torch.cat((spatial, support), dim=1)).chunk(2, dim=1)
        return means, scales
