"""Record what PyTorch computes for one tile, wherever a graph or a stream is compared with it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from elic_models import ELIC
from elic_models.checkerboard import pack, unpack
from elic_models.context import SliceContext
from elic_runtime.runners import Arrays
from elic_runtime.subgraphs import ANCHOR, H_S, NONANCHOR, pass_name
from numpy.typing import NDArray
from torch import Tensor

from elic_export.exact.deployment import Deployment
from elic_export.graphs.reshapes import corners

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


@dataclass
class GraphCase:
    """Inputs of a subgraph, and the outputs that PyTorch computes from them.

    Parameters
    ----------
    inputs, outputs : dict of ndarray
        Arrays by the role of the tensor.

    """

    inputs: Arrays
    outputs: Arrays


@dataclass
class PassReference:
    """One pass: what is coded, and with which parameters.

    Parameters
    ----------
    k : int
        The slice.
    half : int
        The pass: `ANCHOR` or `NONANCHOR`.
    y, means, scales : ndarray
        Latents and their parameters, float32 [1, C, H/16, W/32].
    symbols, indexes : ndarray
        Symbols and scale indexes, int32 [1, C, H/16, W/32].

    """

    k: int
    half: int
    y: Floats
    means: Floats
    scales: Floats
    symbols: Integers
    indexes: Integers


@dataclass
class WalkReference:
    """What one model codes: z, and all passes.

    Parameters
    ----------
    z_symbols : ndarray
        Symbols of z, int32 [1, N, H/64, W/64].
    cases : dict of GraphCase
        Inputs and outputs of h_s and the context subgraphs, by subgraph.
    passes : list of PassReference
        All passes in coding order.
    y_hat : Tensor
        Decoded latents, [1, M, H/16, W/16].

    """

    z_symbols: Integers
    cases: dict[str, GraphCase] = field(default_factory=dict)
    passes: list[PassReference] = field(default_factory=list)
    y_hat: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass
class TileReference:
    """What PyTorch computes for one tile.

    Parameters
    ----------
    cases : dict of GraphCase
        Inputs and outputs by subgraph.
    walk : WalkReference
        What is coded in the bundle's arithmetic.
    float_walk : WalkReference
        What the checkpoint codes as it is.
    z_stream : bytes
        CompressAI's stream of z.
    streams : list of bytes
        CompressAI's streams of the checkpoint's passes, in coding order.
    likelihood_bits : float
        Ideal code length by the likelihoods of y and z, in bits.
    x_hat : ndarray
        Output of `forward`, float32 [1, 3, H, W].
    decoded : ndarray
        Output of `decompress` for the streams, float32 [1, 3, H, W].

    """

    cases: dict[str, GraphCase]
    walk: WalkReference
    float_walk: WalkReference
    z_stream: bytes
    streams: list[bytes]
    likelihood_bits: float
    x_hat: Floats
    decoded: Floats

    @property
    def stream_bytes(self) -> int:
        """Total size of CompressAI's streams in bytes."""
        return len(self.z_stream) + sum(map(len, self.streams))


@torch.inference_mode()
def record_end_to_end(deployment: Deployment, x: Tensor, step: float) -> Arrays:
    """Compute the outputs that `no_entropy` must give for a tile, with CompressAI's own likelihoods.

    Parameters
    ----------
    deployment : Deployment
        The model.
    x : Tensor
        The tile, [1, 3, H, W], 0 to 1.
    step : float
        How coarsely to round.

    Returns
    -------
    dict of ndarray
        Arrays by the role of the output.

    """
    model = deployment.model
    y = model.g_a(x)
    medians = torch.from_numpy(deployment.tables.medians)[None, :, None, None]
    z_hat = (model.h_a(y) - medians).round() + medians
    bottleneck, conditional = model.entropy_bottleneck, model.gaussian_conditional
    y_slices = y.split(model.spec.groups, dim=1)
    y_likelihoods = [torch.zeros_like(y_slice) for y_slice in y_slices]

    def code(k: int, half: int, means: Tensor, scales: Tensor) -> Tensor:
        parity = model.parity(half)
        symbols = ((pack(y_slices[k], parity) - means) / step).round()
        likelihood = conditional.likelihood_lower_bound(conditional._likelihood(symbols, scales / step))
        y_likelihoods[k] += unpack(likelihood, parity)
        return symbols * step + means

    y_hat = model.code_passes(*model.latent_parameters(z_hat), code)
    b, c, h, w = z_hat.shape
    by_channel = z_hat.permute(1, 0, 2, 3).reshape(c, 1, -1)
    z_likelihoods = bottleneck.likelihood_lower_bound(bottleneck._likelihood(by_channel)[0])
    return {
        "x_hat": model.g_s(y_hat).numpy(),
        "y_likelihoods": torch.cat(y_likelihoods, dim=1).numpy(),
        "z_likelihoods": z_likelihoods.reshape(c, b, h, w).permute(1, 0, 2, 3).numpy(),
    }


@torch.inference_mode()
def record_tile(deployment: Deployment, x: Tensor, cut_after: str | None = None) -> TileReference:
    """Run `forward`, `compress` and `decompress` of the checkpoint on a tile, and the passes of the deployed model.

    Parameters
    ----------
    deployment : Deployment
        The model.
    x : Tensor
        The tile, [1, 3, H, W], 0 to 1.
    cut_after : str, optional
        Name of the node that g_s is cut after, if the bundle has its parts.

    Returns
    -------
    TileReference
        Everything that a bundle is compared with.

    """
    model = deployment.checkpoint.model
    forward = model(x)
    coded = model.compress(x)
    y_strings, (z_stream,) = coded["strings"]
    y = model.g_a(x)
    z = model.h_a(y)
    medians = model.entropy_bottleneck.quantiles[:, :, 1:2].reshape(1, -1, 1, 1)
    conditional = model.gaussian_conditional
    float_walk = _record_walk(model, y, z, medians, conditional.build_indexes)
    walk = float_walk
    if deployment.model is not model:
        tables = deployment.tables
        grid_medians = torch.from_numpy(tables.medians)[None, :, None, None]
        walk = _record_walk(
            deployment.model, y, z, grid_medians, lambda s: torch.from_numpy(tables.scale_indexes(s.numpy()))
        )
    cases = {
        "g_a": _case({"x": x}, {"y": y}),
        "h_a": _case({"y": y}, {"z": z}),
        "g_a_h_a": _case({"x": x}, {"y": y, "z": z}),
        **walk.cases,
        "g_s": _case({"y_hat": walk.y_hat}, {"x_hat": model.g_s(walk.y_hat)}),
    }
    if cut_after is not None:
        features = {"features": _features(model, walk.y_hat, cut_after)}
        cases["g_s_0"] = _case({"y_hat": walk.y_hat}, features)
        cases["g_s_1"] = GraphCase(cases["g_s_0"].outputs, cases["g_s"].outputs)
    return TileReference(
        cases=cases,
        walk=walk,
        float_walk=float_walk,
        z_stream=z_stream,
        streams=[stream for halves in y_strings for (stream,) in halves],
        likelihood_bits=-sum(float(p.double().log2().sum()) for p in forward["likelihoods"].values()),
        x_hat=forward["x_hat"].numpy(),
        decoded=model.decompress(coded["strings"], coded["shape"])["x_hat"].numpy(),
    )


def _features(model: ELIC, y_hat: Tensor, cut_after: str) -> Tensor:
    """Run g_s up to the layer of a node such as `/9/Add`; g_s can be cut after nodes of such names only."""
    layer = int(cut_after.split("/")[1])
    features: Tensor = model.g_s[: layer + 1](y_hat)
    if cut_after.endswith("/Conv"):  # a transposed convolution, rewritten as Conv and DepthToSpace
        features = torch.cat(corners(features), dim=1)
    return features


def _case(inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> GraphCase:
    return GraphCase(
        {n: t.contiguous().numpy() for n, t in inputs.items()}, {n: t.contiguous().numpy() for n, t in outputs.items()}
    )


def _record_walk(
    model: ELIC, y: Tensor, z: Tensor, medians: Tensor, index: Callable[[Tensor], Tensor]
) -> WalkReference:
    """Do what `ELIC.code_passes` does, and record the inputs and outputs of each context subgraph.

    `index` maps scales to scale indexes.
    """
    symbols = (z - medians).round()
    walk = WalkReference(symbols.int().numpy())
    z_hat = symbols + medians
    latents = dict(zip(("latent_means", "latent_scales"), model.latent_parameters(z_hat), strict=True))
    walk.cases[H_S] = _case({"z_hat": z_hat}, latents)
    y_slices = torch.split(y, list(model.spec.groups), dim=1)
    y_hat_slices: list[Tensor] = []
    parities = model.parity(ANCHOR), model.parity(NONANCHOR)

    def code(k: int, half: int, means: Tensor, scales: Tensor) -> Tensor:
        packed = pack(y_slices[k], parities[half])
        symbols = (packed - means).round()
        tensors = (packed, means, scales, symbols.int(), index(scales).int())
        walk.passes.append(PassReference(k, half, *(t.contiguous().numpy() for t in tensors)))
        return symbols + means

    for k, context in enumerate(model.contexts):
        support = context.support(latents["latent_means"], latents["latent_scales"], y_hat_slices)
        means, scales = (pack(p, parities[ANCHOR]) for p in context.anchor(support))
        handed_on = pack(_through_first_layer(context, support), parities[NONANCHOR])
        decoded = {f"y_hat_{i}": y_hat_slices[i] for i in context.context_slices}
        outputs = {"means": means, "scales": scales, "support": handed_on}
        walk.cases[pass_name(k, ANCHOR)] = _case(latents | decoded, outputs)
        y_hat_anchor = code(k, ANCHOR, means, scales)
        full = unpack(y_hat_anchor, parities[ANCHOR])
        means, scales = (pack(p, parities[NONANCHOR]) for p in context.nonanchor(support, full))
        inputs = {"y_hat_anchor": y_hat_anchor, "support": handed_on}
        walk.cases[pass_name(k, NONANCHOR)] = _case(inputs, {"means": means, "scales": scales})
        y_hat_slices.append(full + unpack(code(k, NONANCHOR, means, scales), parities[NONANCHOR]))
    walk.y_hat = torch.cat(y_hat_slices, dim=1)
    return walk


def _through_first_layer(context: SliceContext, support: Tensor) -> Tensor:
    """Apply the parameter net's first layer to the support, with zeros in place of the spatial context."""
    b, _, h, w = support.shape
    zeros = support.new_zeros(b, 2 * context.channels, h, w)
    term: Tensor = context.aggregation[0](torch.cat((zeros, support), dim=1))
    return term
