"""The subgraphs that an export makes: the runtime's table of subgraphs, each with the module that computes it.

`onnx_file.py` traces a declaration into ONNX, and `parity/reference.py` says what the graph must compute.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from elic_models import ELIC, ModelSpec
from elic_models.spec import NONANCHOR
from elic_runtime.model_info import ModelInfo
from elic_runtime.subgraphs import ANCHOR, NO_ENTROPY, Subgraph, subgraphs
from torch import Tensor, nn

from elic_export.exact.deployment import Deployment
from elic_export.graphs.no_entropy import NoEntropy
from elic_export.graphs.packed import AnchorContext, NonAnchorContext

Build = Callable[[Deployment], nn.Module]


@dataclass(frozen=True)
class Declaration:
    """A subgraph of the runtime's table, and the module of a deployed model that computes it.

    Parameters
    ----------
    subgraph : Subgraph
        Its entry in the table. Inputs and outputs are in the order of the module's.
    build : callable
        Makes the module from a `Deployment`.

    """

    subgraph: Subgraph
    build: Build

    @property
    def name(self) -> str:
        """Name of the subgraph."""
        return self.subgraph.name

    @property
    def decides_symbols(self) -> bool:
        """Whether the encoder and the decoder must compute the same bits with it."""
        return self.subgraph.decides_symbols


class MergedAnalysis(nn.Module):
    """The subgraph `g_a_h_a`: g_a and h_a in one graph."""

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        self.g_a = model.g_a
        self.h_a = model.h_a

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Transform images to latents and hyper-latents.

        Parameters
        ----------
        x : Tensor
            Images, [B, 3, H, W], 0 to 1.

        Returns
        -------
        tuple of Tensor
            y, [B, M, H/16, W/16], and z, [B, N, H/64, W/64].

        """
        y = self.g_a(x)
        return y, self.h_a(y)


class ChunkedHyperSynthesis(nn.Module):
    """The subgraph `h_s`: h_s, with its output split into means and scales."""

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        self.h_s = model.h_s

    def forward(self, z_hat: Tensor) -> tuple[Tensor, ...]:
        """Transform hyper-latents to the parameters that the context model reads.

        Parameters
        ----------
        z_hat : Tensor
            Decoded hyper-latents, [B, N, H/64, W/64].

        Returns
        -------
        tuple of Tensor
            Latent means and latent scales, each [B, L, H/16, W/16], where L is `latent_channels`.

        """
        parameters: Tensor = self.h_s(z_hat)
        return parameters.chunk(2, dim=1)


def declare_codec(spec: ModelSpec) -> list[Declaration]:
    """Declare the subgraphs of a codec, in the order in which it runs them.

    Parameters
    ----------
    spec : ModelSpec
        Widths and wiring of the model.

    Returns
    -------
    list of Declaration
        All that have a module of their own. `g_s_0` and `g_s_1`, which are cut from g_s, are not among them.

    """
    support = [spec.aggregation_widths(k, NONANCHOR)[0] for k in range(len(spec.groups))]
    table = subgraphs(model_info(spec), support)
    builders = {graph.name: _builder(graph, spec) for graph in table.values()}
    return [Declaration(table[name], build) for name, build in builders.items() if build is not None]


def model_info(spec: ModelSpec) -> ModelInfo:
    """Return the widths and the wiring of a model as a manifest states them.

    Parameters
    ----------
    spec : ModelSpec
        The same as the model states them.

    """
    return ModelInfo(
        variant=spec.variant,
        N=spec.N,
        M=spec.M,
        latent_channels=spec.latent_channels,
        groups=spec.groups,
        anchor_parity=spec.wiring.anchor_parity,
        context_slices=tuple(spec.wiring.context_slices(k) for k in range(len(spec.groups))),
    )


_TRANSFORMS: dict[str, Build] = {
    "g_a": lambda deployment: deployment.model.g_a,
    "h_a": lambda deployment: deployment.model.h_a,
    "g_a_h_a": lambda deployment: MergedAnalysis(deployment.model),
    "h_s": lambda deployment: ChunkedHyperSynthesis(deployment.model),
    "g_s": lambda deployment: deployment.model.g_s,
}


def _builder(graph: Subgraph, spec: ModelSpec) -> Build | None:
    """Return what builds a subgraph's module, or None if it has none because it is cut from another graph."""
    if graph.position is None:
        return _TRANSFORMS.get(graph.name)
    k, half = graph.position
    module, parity = AnchorContext if half == ANCHOR else NonAnchorContext, spec.wiring.anchor_parity
    return lambda deployment: module(deployment.model.contexts[k], parity)


def declare_no_entropy(spec: ModelSpec, *, likelihoods: bool, step: float) -> Declaration:
    """Declare the end-to-end graph.

    Parameters
    ----------
    spec : ModelSpec
        Widths and wiring of the model.
    likelihoods : bool
        Whether the graph has the outputs `y_likelihoods` and `z_likelihoods`.
    step : float
        How coarsely it rounds.

    """
    graph = subgraphs(model_info(spec))[NO_ENTROPY]
    kept = {role: tensor for role, tensor in graph.outputs.items() if likelihoods or not tensor.optional}
    return Declaration(
        replace(graph, outputs=kept), lambda deployment: NoEntropy(deployment, likelihoods=likelihoods, step=step)
    )
