"""What PyTorch computes for one tile, at every seam where a graph or a stream is held against it."""

from dataclasses import dataclass, field

import numpy as np
import torch
from elic_models import ELIC
from elic_models.checkerboard import pack, unpack
from elic_models.context import SliceContext
from elic_models.elic import ANCHOR, NONANCHOR
from elic_runtime.context import anchor_name, nonanchor_name
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[np.float32]]


@dataclass
class GraphCase:
    """A subgraph's inputs and the outputs that PyTorch gives for them, by tensor name."""

    inputs: Arrays
    outputs: Arrays


@dataclass
class PassReference:
    """One pass: int32 symbols and indexes [n], y before quantization, CompressAI's stream."""

    k: int
    half: int
    y: NDArray[np.float32]
    symbols: NDArray[np.int32]
    indexes: NDArray[np.int32]
    stream: bytes


@dataclass
class TileReference:
    """PyTorch's run over one tile.

    cases: by subgraph. passes: in coding order. z_symbols: int32 [1, N, H/64, W/64]; z_stream: its code.
    likelihood_bits: ideal code length by the likelihoods of y and z, in bits.
    x_hat: [1, 3, H, W], from `forward`; decoded: from `decompress`, of the streams.
    """

    cases: dict[str, GraphCase] = field(default_factory=dict)
    passes: list[PassReference] = field(default_factory=list)
    z_symbols: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    z_stream: bytes = b""
    likelihood_bits: float = 0.0
    x_hat: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    decoded: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def stream_bytes(self) -> int:
        """Bytes of all of CompressAI's streams."""
        return len(self.z_stream) + sum(len(p.stream) for p in self.passes)


@torch.inference_mode()
def record_tile(model: ELIC, x: Tensor) -> TileReference:
    """Run PyTorch's forward, compress and decompress over x [1, 3, H, W]."""
    ref = TileReference()
    forward = model(x)
    ref.x_hat = forward["x_hat"].numpy()
    ref.likelihood_bits = -sum(float(p.double().log2().sum()) for p in forward["likelihoods"].values())
    coded = model.compress(x)
    ref.decoded = model.decompress(coded["strings"], coded["shape"])["x_hat"].numpy()
    y_strings, (ref.z_stream,) = coded["strings"]

    y = model.g_a(x)
    z = model.h_a(y)
    medians = model.entropy_bottleneck.quantiles[:, :, 1:2].reshape(1, -1, 1, 1)
    ref.z_symbols = (z - medians).round().int().numpy()
    z_hat = model.entropy_bottleneck.decompress([ref.z_stream], z.shape[-2:])
    latents = dict(zip(("latent_means", "latent_scales"), model.latent_parameters(z_hat), strict=True))
    _add_case(ref, "g_a", {"x": x}, {"y": y})
    _add_case(ref, "h_a", {"y": y}, {"z": z})
    _add_case(ref, "g_a_h_a", {"x": x}, {"y": y, "z": z})
    _add_case(ref, "h_s", {"z_hat": z_hat}, latents)
    y_hat = _record_passes(model, ref, y, latents, y_strings)
    _add_case(ref, "g_s", {"y_hat": y_hat}, {"x_hat": model.g_s(y_hat)})
    return ref


def _add_case(ref: TileReference, name: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
    ref.cases[name] = GraphCase(
        {n: t.contiguous().numpy() for n, t in inputs.items()}, {n: t.contiguous().numpy() for n, t in outputs.items()}
    )


def _record_passes(
    model: ELIC, ref: TileReference, y: Tensor, latents: dict[str, Tensor], y_strings: list[list[list[bytes]]]
) -> Tensor:
    """The walk of `ELIC.code_passes`, keeping what goes in and out of each context subgraph."""
    y_slices = y.split(model.spec.groups, dim=1)
    y_hat_slices: list[Tensor] = []
    parities = model.parity(ANCHOR), model.parity(NONANCHOR)
    for k, context in enumerate(model.contexts):
        support = context.support(latents["latent_means"], latents["latent_scales"], y_hat_slices)
        means, scales = (pack(p, parities[ANCHOR]) for p in context.anchor(support))
        handed_on = pack(_through_first_layer(context, support), parities[NONANCHOR])
        decoded = {f"y_hat_{i}": y_hat_slices[i] for i in context.context_slices}
        _add_case(ref, anchor_name(k), latents | decoded, {"means": means, "scales": scales, "support": handed_on})
        y_hat_anchor = _record_pass(model, ref, (k, ANCHOR), (y_slices[k], means, scales), y_strings)
        full = unpack(y_hat_anchor, parities[ANCHOR])
        means, scales = (pack(p, parities[NONANCHOR]) for p in context.nonanchor(support, full))
        inputs = {"y_hat_anchor": y_hat_anchor, "support": handed_on}
        _add_case(ref, nonanchor_name(k), inputs, {"means": means, "scales": scales})
        y_hat_nonanchor = _record_pass(model, ref, (k, NONANCHOR), (y_slices[k], means, scales), y_strings)
        y_hat_slices.append(full + unpack(y_hat_nonanchor, parities[NONANCHOR]))
    return torch.cat(y_hat_slices, dim=1)


def _through_first_layer(context: SliceContext, support: Tensor) -> Tensor:
    """The support's term of the parameter net's first layer, bias included: the spatial context is zeros."""
    b, _, h, w = support.shape
    zeros = support.new_zeros(b, 2 * context.channels, h, w)
    return context.aggregation[0](torch.cat((zeros, support), dim=1))


def _record_pass(
    model: ELIC,
    ref: TileReference,
    which: tuple[int, int],
    tensors: tuple[Tensor, Tensor, Tensor],
    y_strings: list[list[list[bytes]]],
) -> Tensor:
    """Keep a pass's symbols and indexes; returns its packed y_hat."""
    (k, half), (y_slice, means, scales) = which, tensors
    y = pack(y_slice, model.parity(half))
    conditional = model.gaussian_conditional
    symbols = conditional.quantize(y, "symbols", means)
    indexes = conditional.build_indexes(scales)
    ref.passes.append(
        PassReference(k, half, y.numpy(), symbols.numpy().ravel(), indexes.numpy().ravel(), y_strings[k][half][0])
    )
    return conditional.dequantize(symbols, means)
