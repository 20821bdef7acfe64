"""Which subgraphs there are: each one declared, none special to the exporter.

A declaration names a subgraph's inputs and outputs and builds the module behind it;
`export.py` turns it into a file, `reference.py` says what it must compute.
"""

from collections.abc import Callable
from dataclasses import dataclass

from elic_models import ELIC, ModelSpec
from elic_models.spec import NONANCHOR
from elic_runtime.context import anchor_name, nonanchor_name
from elic_runtime.manifest import decides_symbols
from elic_runtime.shapes import Dim, dimensions
from torch import Tensor, nn

from elic_export.config import ExportConfig
from elic_export.deployment import Deployment
from elic_export.no_entropy import NoEntropy
from elic_export.packed import AnchorContext, NonAnchorContext


@dataclass(frozen=True)
class TensorDecl:
    """A tensor of the model: [batch, channels, H / stride, W / stride], or half as wide if packed."""

    channels: int
    stride: int
    packed: bool = False

    @property
    def dims(self) -> tuple[Dim, ...]:
        """Its shape, in symbols of `elic_runtime.shapes`."""
        return dimensions(self.channels, self.stride, packed=self.packed)


@dataclass(frozen=True)
class Subgraph:
    """One ONNX graph to be.

    inputs, outputs: by tensor name, in the module's order.
    build: the module, from a deployed model.
    """

    name: str
    inputs: dict[str, TensorDecl]
    outputs: dict[str, TensorDecl]
    build: Callable[[Deployment], nn.Module]

    @property
    def decides_symbols(self) -> bool:
        """Whether encoder and decoder must get the same bits from it."""
        return decides_symbols(self.name)


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


def declare(spec: ModelSpec, config: ExportConfig) -> list[Subgraph]:
    """The graphs that an export's form and rewrites ask for, in the order in which a codec runs them."""
    if config.form == "no-entropy":
        return [_declare_no_entropy(spec, likelihoods=config.likelihoods)]
    merged = "merge_g_a_h_a" in config.rewrites
    return [graph for graph in declare_codec(spec) if merged or graph.name != "g_a_h_a"]


def declare_codec(spec: ModelSpec) -> list[Subgraph]:
    """The subgraphs of DESIGN.md, all of them."""
    x = TensorDecl(3, 1)
    y = TensorDecl(spec.M, 16)
    z = TensorDecl(spec.N, 64)
    latents = dict.fromkeys(("latent_means", "latent_scales"), TensorDecl(spec.latent_channels, 16))
    contexts = [graph for k in range(len(spec.groups)) for graph in _declare_context(spec, k, latents)]
    return [
        Subgraph("g_a", {"x": x}, {"y": y}, lambda deployment: deployment.model.g_a),
        Subgraph("h_a", {"y": y}, {"z": z}, lambda deployment: deployment.model.h_a),
        Subgraph("g_a_h_a", {"x": x}, {"y": y, "z": z}, lambda deployment: MergedAnalysis(deployment.model)),
        Subgraph(
            "h_s",
            {"z_hat": z},
            latents,
            lambda deployment: ChunkedHyperSynthesis(deployment.model),
        ),
        *contexts,
        Subgraph("g_s", {"y_hat": y}, {"x_hat": x}, lambda deployment: deployment.model.g_s),
    ]


def _declare_no_entropy(spec: ModelSpec, *, likelihoods: bool) -> Subgraph:
    outputs = {"x_hat": TensorDecl(3, 1)}
    if likelihoods:
        outputs |= {"y_likelihoods": TensorDecl(spec.M, 16), "z_likelihoods": TensorDecl(spec.N, 64)}
    return Subgraph(
        "no_entropy",
        {"input": TensorDecl(3, 1)},
        outputs,
        lambda deployment: NoEntropy(deployment, likelihoods=likelihoods),
    )


def _declare_context(spec: ModelSpec, k: int, latents: dict[str, TensorDecl]) -> tuple[Subgraph, Subgraph]:
    parity = spec.wiring.anchor_parity
    packed = TensorDecl(spec.groups[k], 16, packed=True)
    parameters = {"means": packed, "scales": packed}
    support = TensorDecl(spec.aggregation_widths(k, NONANCHOR)[0], 16, packed=True)
    decoded = {f"y_hat_{i}": TensorDecl(spec.groups[i], 16) for i in spec.wiring.context_slices(k)}
    return (
        Subgraph(
            anchor_name(k),
            latents | decoded,
            parameters | {"support": support},
            lambda deployment: AnchorContext(deployment.model.contexts[k], parity),
        ),
        Subgraph(
            nonanchor_name(k),
            {"y_hat_anchor": packed, "support": support},
            parameters,
            lambda deployment: NonAnchorContext(deployment.model.contexts[k], parity),
        ),
    )
