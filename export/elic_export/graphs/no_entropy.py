"""The whole codec as one graph that rounds instead of coding, to measure pictures and rates on a device.

It has the same packed context modules as the codec's subgraphs, one after the other.
"""

import torch
from torch import Tensor, nn

from elic_export.exact.deployment import Deployment
from elic_export.graphs.likelihoods import FactorizedLikelihood, GaussianLikelihood
from elic_export.graphs.packed import AnchorContext, NonAnchorContext
from elic_export.graphs.reshapes import halves, interleave, interleave_rows


class NoEntropy(nn.Module):
    """The subgraph `no_entropy`.

    ```
    input ─ g_a ─ y ─ slices, passes ─ y_hat ─ g_s ─ x_hat
                  └ h_a ─ round ─ h_s ┘    └ y_likelihoods
                            └ z_likelihoods
    ```

    Parameters
    ----------
    deployment : Deployment
        The model to export.
    likelihoods : bool
        Whether to compute the likelihoods.
    step : float
        By how much y_hat grows with a symbol.

    """

    def __init__(self, deployment: Deployment, *, likelihoods: bool, step: float = 1.0) -> None:
        super().__init__()
        self.step = step
        model = deployment.model
        self.groups = model.spec.groups
        self.anchor_parity = model.spec.wiring.anchor_parity
        self.context_slices = [context.context_slices for context in model.contexts]
        self.g_a, self.h_a, self.h_s, self.g_s = model.g_a, model.h_a, model.h_s, model.g_s
        self.anchors = nn.ModuleList(AnchorContext(c, self.anchor_parity) for c in model.contexts)
        self.nonanchors = nn.ModuleList(NonAnchorContext(c, self.anchor_parity) for c in model.contexts)
        self.y_likelihood = GaussianLikelihood(model) if likelihoods else None
        self.z_likelihood = FactorizedLikelihood(model) if likelihoods else None
        self.medians: Tensor
        self.register_buffer("medians", torch.from_numpy(deployment.tables.medians)[None, :, None, None])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode and decode images, rounding instead of coding.

        Parameters
        ----------
        x : Tensor
            Images, [B, 3, H, W], 0 to 1.

        Returns
        -------
        tuple of Tensor
            x_hat, [B, 3, H, W], not clamped. If likelihoods are computed, also those of y, [B, M, H/16, W/16], and of
            z, [B, N, H/64, W/64].

        """
        y = self.g_a(x)
        z_hat = (self.h_a(y) - self.medians).round() + self.medians
        y_hat, symbols, scales = self._walk(y, self.h_s(z_hat).chunk(2, dim=1))
        x_hat = self.g_s(y_hat)
        if self.y_likelihood is None or self.z_likelihood is None:
            return (x_hat,)
        return x_hat, self.y_likelihood(symbols, scales), self.z_likelihood(z_hat)

    def _walk(self, y: Tensor, latents: tuple[Tensor, ...]) -> list[Tensor]:
        """Round all slices in coding order; return y_hat, symbols and scales, each [B, M, H/16, W/16]."""
        y_hat_slices: list[Tensor] = []
        coded: list[tuple[Tensor, ...]] = []
        for k, y_slice in enumerate(torch.split(y, list(self.groups), dim=1)):
            means, scales, support = self.anchors[k](*latents, *(y_hat_slices[i] for i in self.context_slices[k]))
            even, odd = (interleave_rows(*rows) for rows in halves(y_slice))
            y_anchor, y_nonanchor = (odd, even) if self.anchor_parity else (even, odd)
            anchor = self._round(y_anchor, means, scales)
            nonanchor = self._round(y_nonanchor, *self.nonanchors[k](anchor[0], support))
            pairs = zip(anchor, nonanchor, strict=True)
            coded.append(tuple(interleave(a, n, self.anchor_parity) for a, n in pairs))
            y_hat_slices.append(coded[-1][0])
        return [torch.cat(tensors, dim=1) for tensors in zip(*coded, strict=True)]

    def _round(self, y: Tensor, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Round one pass; return y_hat, symbols and the symbols' scales, each [B, C, H/16, W/32]."""
        if self.step == 1:
            symbols = (y - means).round()
            return symbols + means, symbols, scales
        symbols = ((y - means) / self.step).round()
        return symbols * self.step + means, symbols, scales / self.step
