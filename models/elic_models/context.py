"""The space-channel context model of one slice (SCCTX, He et al. 2022, figure 4)."""

import torch
from torch import Tensor, nn

from elic_models.layers import CheckerboardConv2d, conv, conv1x1
from elic_models.spec import ANCHOR, NONANCHOR, ModelSpec

CHANNEL_CONTEXT_WIDTHS = (224, 128)
"""Hidden channels of g_ch, from Minnen and Singh 2020 (arXiv 2007.08739)."""


class SliceContext(nn.Module):
    """The means and scales of one slice's symbols, pass by pass.

    ```
    y_hat slices ─ channel ─┐
    latent means, scales ───┴─ support ─┬─────────────┐
                                zeros ──┴ aggregation │─> anchor means, scales
           y_hat at the anchors ─ spatial ────────────┴ aggregation ─> the rest
    ```

    The submodules are:

    - `channel`: g_ch^(k), which reads decoded slices; None for slice 0;
    - `spatial`: g_sp^(k), which reads the anchor half of this slice;
    - `aggregation`: the parameter net of 1x1 convolutions, for both passes, or for the non-anchor pass alone if each
      pass has a net of its own;
    - `anchor_aggregation`: the anchor pass's own net, which reads the support alone (jiang); None if `aggregation`
      serves both passes.

    Each net returns the means first, in all variants: `checkpoints/loading.py` swaps the halves of nets that were
    trained the other way round.

    Parameters
    ----------
    spec : ModelSpec
        Widths and variant of the network.
    k : int
        Index of the slice.

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
        # Jiang's implementation has no mask. Its input is zero off the anchors, and its output is used only off the
        # anchors: there, the taps that the mask removes are at even distance and meet those zeros, so that the mask
        # does not change the output.
        self.spatial: nn.Module = CheckerboardConv2d(self.channels, params)
        self.aggregation = _parameter_net(spec, k, NONANCHOR)
        self.anchor_aggregation = _parameter_net(spec, k, ANCHOR) if spec.wiring.nets_per_pass else None

    def support(self, latent_means: Tensor, latent_scales: Tensor, y_hat_slices: list[Tensor]) -> Tensor:
        """Compute the input that both passes' parameter nets share.

        Parameters
        ----------
        latent_means, latent_scales : Tensor
            The output of h_s: [B, L, H/16, W/16], where L is the spec's `latent_channels`.
        y_hat_slices : list of Tensor
            The slices decoded so far, each [B, C, H/16, W/16].

        Returns
        -------
        Tensor
            [B, 2C + 2L, H/16, W/16]; [B, 2L, H/16, W/16] for slice 0, which has no channel context.

        """
        hyper = (latent_means, latent_scales)
        if self.channel is None:
            return torch.cat(hyper, dim=1)
        decoded = torch.cat([y_hat_slices[i] for i in self.context_slices], dim=1)
        return torch.cat((self.channel(decoded), *hyper), dim=1)

    def anchor(self, support: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the means and scales of the anchor pass; they are valid at anchor positions.

        Parameters
        ----------
        support : Tensor
            The output of `support`.

        Returns
        -------
        means, scales : Tensor
            [B, C, H/16, W/16].

        """
        if self.anchor_aggregation is not None:
            return _means_scales(self.anchor_aggregation(support))
        b, _, h, w = support.shape
        no_context = support.new_zeros(b, 2 * self.channels, h, w)
        return _means_scales(self.aggregation(torch.cat((no_context, support), dim=1)))

    def nonanchor(self, support: Tensor, y_hat_anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the means and scales of the non-anchor pass; they are valid at its positions.

        Parameters
        ----------
        support : Tensor
            The output of `support`.
        y_hat_anchor : Tensor
            The decoded anchor half, [B, C, H/16, W/16], with zeros at the other positions.

        Returns
        -------
        means, scales : Tensor
            [B, C, H/16, W/16].

        """
        context = self.spatial(y_hat_anchor)
        return _means_scales(self.aggregation(torch.cat((context, support), dim=1)))


def _parameter_net(spec: ModelSpec, k: int, half: int) -> nn.Sequential:
    """Build a parameter net: spatial context, if any, and support -> means and scales, [B, 2C, H/16, W/16]."""
    wide, narrow = spec.aggregation_widths(k, half)
    return nn.Sequential(
        conv1x1(spec.aggregation_inputs(k, half), wide),
        nn.ReLU(),
        conv1x1(wide, narrow),
        nn.ReLU(),
        conv1x1(narrow, 2 * spec.groups[k]),
    )


def _means_scales(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Split [B, 2C, H, W] into means and scales, [B, C, H, W] each."""
    means, scales = parameters.chunk(2, dim=1)
    return means, scales
