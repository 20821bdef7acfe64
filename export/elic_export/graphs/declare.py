"""Which graphs an export makes: the runtime's table of subgraphs, each with the module behind it.

`onnx_file.py` turns a declaration into a file, `parity/reference.py` says what it must compute.
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
        Name, inputs and outputs; the tensors are in the module's order.
    build : callable
        Makes the module from a deployment.

    """

    subgraph: Subgraph
    build: Build

    @property
    def name(self) -> str:
        """The subgraph's name."""
        return self.subgraph.name

    @property
    def decides_symbols(self) -> bool:
        """Whether encoder and decoder must get the same bits from it."""
        return self.subgraph.decides_symbols


class MergedAnalysis(nn.Module):
    """g_a and h_a in one graph."""

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        self.g_a = model.g_a
        self.h_a = model.h_a

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, 3, H, W] -> y [B, M, H/16, W/16], z [B, N, H/64, W/64]."""
        y = self.g_a(x)
        return y, self.h_a(y)


class ChunkedHyperSynthesis(nn.Module):
    """h_s with its output in two."""

    def __init__(self, model: ELIC) -> None:
        super().__init__()
        self.h_s = model.h_s

    def forward(self, z_hat: Tensor) -> tuple[Tensor, ...]:
        """z_hat [B, N, H/64, W/64] -> latent means and scales, 2 x [B, M, H/16, W/16]."""
        return self.h_s(z_hat).chunk(2, dim=1)


def declare_codec(spec: ModelSpec) -> list[Declaration]:
    """All subgraphs of a codec that have a module of their own, in the order in which it runs them."""
    support = [spec.aggregation_widths(k, NONANCHOR)[0] for k in range(len(spec.groups))]
    table = subgraphs(model_info(spec), support)
    builders = {graph.name: _builder(graph, spec) for graph in table.values()}
    return [Declaration(table[name], build) for name, build in builders.items() if build is not None]


def model_info(spec: ModelSpec) -> ModelInfo:
    """What a manifest says of a model's widths and wiring."""
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
    """None for a subgraph that has no module of its own: it is cut from another one's graph."""
    if graph.position is None:
        return _TRANSFORMS.get(graph.name)
    k, half = graph.position
    module, parity = AnchorContext if half == ANCHOR else NonAnchorContext, spec.wiring.anchor_parity
    return lambda deployment: module(deployment.model.contexts[k], parity)


def declare_no_entropy(spec: ModelSpec, *, likelihoods: bool) -> Declaration:
    """The end-to-end graph, with or without its likelihoods."""
    graph = subgraphs(model_info(spec))[NO_ENTROPY]
    kept = {role: tensor for role, tensor in graph.outputs.items() if likelihoods or not tensor.optional}
    return Declaration(replace(graph, outputs=kept), lambda deployment: NoEntropy(deployment, likelihoods=likelihoods))
