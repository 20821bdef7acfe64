"""ELIC in PyTorch, the reference that every exported graph and file is compared with.

He et al., "ELIC: Efficient Learned Image Compression with Unevenly Grouped Space-Channel Contextual Adaptive Coding",
CVPR 2022 (arXiv 2203.10886). This implementation is for inference only: it rounds, and adds no noise.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from elic_models import transforms
from elic_models.checkerboard import pack, unpack
from elic_models.context import SliceContext
from elic_models.spec import ANCHOR, NONANCHOR, ModelSpec

with warnings.catch_warnings():
    # compressai calls torch.jit.script when it is imported; torch 2.14 warns that it will be removed.
    warnings.simplefilter("ignore", FutureWarning)
    from compressai.entropy_models import EntropyBottleneck, GaussianConditional

SCALE_MIN, SCALE_MAX, SCALE_LEVELS = 0.11, 256.0, 64
"""The range and size of CompressAI's scale table (models/base.py), which all variants use."""

CodePass = Callable[[int, int, Tensor, Tensor], Tensor]
"""(slice, pass, means, scales) -> y_hat, where the three tensors are packed: [B, C, H/16, W/32]."""


def scale_table() -> Tensor:
    """Return the standard deviations for which there is a CDF: float32 [64], a geometric sequence."""
    return torch.linspace(math.log(SCALE_MIN), math.log(SCALE_MAX), SCALE_LEVELS).exp()


class ELIC(nn.Module):
    """The whole codec.

    ```
    x ─ g_a ─ y ──────────────── slices, passes ─ y_hat ─ g_s ─ x_hat
              └ h_a ─ z ─ z_hat ─ h_s ─ means, scales ┘
    ```

    `forward`, `compress` and `decompress` differ only in what they do at each pass.

    Parameters
    ----------
    spec : ModelSpec
        Widths and variant of the network.

    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.g_a = transforms.analysis(spec.N, spec.M)
        self.h_a = transforms.hyper_analysis(spec.N, spec.M)
        self.h_s = transforms.hyper_synthesis(spec)
        self.g_s = transforms.synthesis(spec.N, spec.M)
        self.context = nn.ModuleList(SliceContext(spec, k) for k in range(len(spec.groups)))
        self.entropy_bottleneck = EntropyBottleneck(spec.N)
        self.gaussian_conditional = GaussianConditional(None)

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Compute the reconstruction and the likelihoods, with rounding in the place of entropy coding.

        Parameters
        ----------
        x : Tensor
            [B, 3, H, W], from 0 to 1, with H and W multiples of 64.

        Returns
        -------
        dict
            `x_hat`: [B, 3, H, W], not clamped. `likelihoods`: a dict of `y` [B, M, H/16, W/16] and `z`
            [B, N, H/64, W/64].

        """
        y = self.g_a(x)
        y_slices = y.split(self.spec.groups, dim=1)
        z_hat, z_likelihoods = self.entropy_bottleneck(self.h_a(y), training=False)
        likelihoods = [torch.zeros_like(y_slice) for y_slice in y_slices]

        def code(k: int, half: int, means: Tensor, scales: Tensor) -> Tensor:
            parity = self.parity(half)
            packed = pack(y_slices[k], parity)
            decoded: Tensor
            decoded, likelihood = self.gaussian_conditional(packed, scales, means, training=False)
            likelihoods[k] += unpack(likelihood, parity)
            return decoded

        y_hat = self.code_passes(*self.latent_parameters(z_hat), code)
        return {"x_hat": self.g_s(y_hat), "likelihoods": {"y": torch.cat(likelihoods, dim=1), "z": z_likelihoods}}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """Encode images into CompressAI's rANS streams.

        Parameters
        ----------
        x : Tensor
            [B, 3, H, W], from 0 to 1, with H and W multiples of 64.

        Returns
        -------
        dict
            `strings`: a list of two, `y[slice][pass][image]` and `z[image]`, each a stream of bytes. `shape`: height
            and width of z.

        """
        y = self.g_a(x)
        y_slices = y.split(self.spec.groups, dim=1)
        z = self.h_a(y)
        z_strings = self.entropy_bottleneck.compress(z)
        z_hat = self.entropy_bottleneck.decompress(z_strings, z.shape[-2:])
        y_strings: list[list[list[bytes]]] = [[[], []] for _ in y_slices]

        def code(k: int, half: int, means: Tensor, scales: Tensor) -> Tensor:
            packed = pack(y_slices[k], self.parity(half))
            indexes = self.gaussian_conditional.build_indexes(scales)
            y_strings[k][half] = self.gaussian_conditional.compress(packed, indexes, means)
            decoded: Tensor = self.gaussian_conditional.quantize(packed, "dequantize", means)
            return decoded

        self.code_passes(*self.latent_parameters(z_hat), code)
        return {"strings": [y_strings, z_strings], "shape": z.shape[-2:]}

    def decompress(self, strings: list[Any], shape: tuple[int, int]) -> dict[str, Tensor]:
        """Decode what `compress` returned.

        Decode trusted streams only: CompressAI's decoder reads beyond the end of a damaged one.

        Parameters
        ----------
        strings, shape
            The values of the dict that `compress` returned.

        Returns
        -------
        dict
            `x_hat`: [B, 3, H, W], clamped to 0..1.

        """
        y_strings, z_strings = strings
        z_hat = self.entropy_bottleneck.decompress(z_strings, shape)

        def code(k: int, half: int, means: Tensor, scales: Tensor) -> Tensor:
            indexes = self.gaussian_conditional.build_indexes(scales)
            decoded: Tensor = self.gaussian_conditional.decompress(y_strings[k][half], indexes, means=means)
            return decoded

        y_hat = self.code_passes(*self.latent_parameters(z_hat), code)
        return {"x_hat": self.g_s(y_hat).clamp_(0, 1)}

    def latent_parameters(self, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Run h_s and split its output in two.

        Parameters
        ----------
        z_hat : Tensor
            [B, N, H/64, W/64].

        Returns
        -------
        latent_means, latent_scales : Tensor
            [B, L, H/16, W/16]. L is the spec's `latent_channels`: M, or N for compressai-official.

        """
        latent_means, latent_scales = self.h_s(z_hat).chunk(2, dim=1)
        return latent_means, latent_scales

    def code_passes(self, latent_means: Tensor, latent_scales: Tensor, code: CodePass) -> Tensor:
        """Run the slices and their two passes in coding order.

        Parameters
        ----------
        latent_means, latent_scales : Tensor
            As `latent_parameters` returns them.
        code : callable
            Encodes or decodes a pass: see `CodePass`.

        Returns
        -------
        Tensor
            y_hat [B, M, H/16, W/16].

        """
        anchor_parity = self.parity(ANCHOR)
        y_hat_slices: list[Tensor] = []
        for k, context in enumerate(self.contexts):
            support = context.support(latent_means, latent_scales, y_hat_slices)
            parameters = (pack(p, anchor_parity) for p in context.anchor(support))
            y_hat_anchor = unpack(code(k, ANCHOR, *parameters), anchor_parity)
            parameters = (pack(p, 1 - anchor_parity) for p in context.nonanchor(support, y_hat_anchor))
            y_hat_nonanchor = unpack(code(k, NONANCHOR, *parameters), 1 - anchor_parity)
            y_hat_slices.append(y_hat_anchor + y_hat_nonanchor)
        return torch.cat(y_hat_slices, dim=1)

    @property
    def contexts(self) -> list[SliceContext]:
        """The context models in coding order."""
        return [context for context in self.context if isinstance(context, SliceContext)]

    def parity(self, half: int) -> int:
        """Return the parity of row + column at the positions of pass `half`, which is `ANCHOR` or `NONANCHOR`."""
        return self.spec.wiring.anchor_parity ^ half

    def update_tables(self) -> None:
        """Compute the CDF tables that the checkpoint did not contain."""
        if self.entropy_bottleneck.quantized_cdf.numel() == 0:
            self.entropy_bottleneck.update()
        if self.gaussian_conditional.quantized_cdf.numel() == 0:
            self.gaussian_conditional.update_scale_table(scale_table())
