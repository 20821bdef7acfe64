"""The table of subgraphs: the inputs and outputs of each one, who needs it, and whether it decides symbols.

Everything that knows subgraphs by name uses this table: the exporter's declarations, the checks of the manifest, the
codec, conformance, the compilers' input files and the tests.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import DOWNSAMPLING, LATENT_STRIDE, Dim, dimensions

ANCHOR, NONANCHOR = 0, 1
"""The two passes of a slice, in coding order."""

Side = Literal["encoder", "decoder", "both"]
"""Which half of the codec needs a subgraph."""


@dataclass(frozen=True)
class Tensor:
    """One input or output of a subgraph: [batch, channels, H / stride, W / stride], or half as wide if packed.

    Parameters
    ----------
    channels : int, optional
        Number of channels; None if the export decides it, as for `support` and for a feature map where g_s is cut.
    stride : int, optional
        Pixels of the image per position; None if the export decides it.
    packed : bool
        Whether the tensor contains the positions of one pass only.
    optional : bool
        Whether a graph may lack the tensor.

    """

    channels: int | None
    stride: int | None
    packed: bool = False
    optional: bool = False

    @property
    def known(self) -> bool:
        """Whether the model alone determines the shape."""
        return self.channels is not None and self.stride is not None

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The shape in symbols of `shapes.py`. Raises ValueError if the export decides it."""
        if self.channels is None or self.stride is None:
            raise ValueError("this tensor's shape is decided at export")
        return dimensions(self.channels, self.stride, packed=self.packed)


@dataclass(frozen=True)
class Subgraph:
    """One ONNX graph of a bundle.

    Parameters
    ----------
    name : str
        The name in the manifest, and the file's name without `.onnx`.
    inputs, outputs : dict of str to Tensor
        The tensors by their roles, in the graph's order.
    needed_by : {"encoder", "decoder", "both"}
        The half of the codec that runs the subgraph.
    position : tuple of int, optional
        Slice and pass of a context subgraph.

    """

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    needed_by: Side
    position: tuple[int, int] | None = None

    @property
    def decides_symbols(self) -> bool:
        """Whether encoder and decoder must get the same bits from the subgraph."""
        return decides_symbols(self.name)

    @property
    def encoder_only(self) -> bool:
        """Whether only the encoder runs the subgraph."""
        return self.needed_by == "encoder"


H_S = "h_s"
NO_ENTROPY = "no_entropy"

_PASS_NAME = re.compile(r"context_(0|[1-9]\d?)_(anchor|nonanchor)")
PASSES = ("anchor", "nonanchor")
"""The passes of a slice, in coding order."""


def pass_name(k: int, half: int) -> str:
    """Return the name of the context subgraph of slice k and pass `half`, which is `ANCHOR` or `NONANCHOR`."""
    return f"context_{k}_{PASSES[half]}"


def pass_of(name: str) -> tuple[int, int] | None:
    """Return the slice and the pass of a context subgraph, or None for any other name."""
    found = _PASS_NAME.fullmatch(name)
    return (int(found[1]), PASSES.index(found[2])) if found else None


def decides_symbols(name: str) -> bool:
    """Return whether encoder and decoder must get the same bits from a subgraph."""
    return name == H_S or pass_of(name) is not None


def on_cpu(name: str, *, merged: bool) -> bool:
    """Return whether a subgraph runs on the CPU, beside the entropy coder, wherever the transforms run.

    Parameters
    ----------
    name : str
        Name of the subgraph.
    merged : bool
        Whether the bundle has `g_a_h_a`. It then needs `h_a` for images that are larger than the graphs only.

    """
    return decides_symbols(name) or (merged and name == "h_a")


def deciding_names(model: ModelInfo) -> list[str]:
    """Return the names of the subgraphs that decide symbols, in the order in which they run."""
    return [name for name in subgraphs(model) if decides_symbols(name)]


def subgraphs(model: ModelInfo, support: Sequence[int | None] = ()) -> dict[str, Subgraph]:
    """Return the declarations of all subgraphs that a bundle of a model may contain.

    Parameters
    ----------
    model : ModelInfo
        Widths and wiring of the model.
    support : sequence of int, optional
        Channels of each slice's `support`, which only the exporter knows.

    Returns
    -------
    dict of str to Subgraph
        Declarations by name, in the order in which the subgraphs run.

    """
    x = Tensor(3, 1)
    y = Tensor(model.M, LATENT_STRIDE)
    z = Tensor(model.N, DOWNSAMPLING)
    features = Tensor(None, None)
    latents = dict.fromkeys(("latent_means", "latent_scales"), Tensor(model.latent_channels, LATENT_STRIDE))
    likelihoods = {
        "y_likelihoods": Tensor(model.M, LATENT_STRIDE, optional=True),
        "z_likelihoods": Tensor(model.N, DOWNSAMPLING, optional=True),
    }
    widths = support or [None] * len(model.groups)
    listed = [
        Subgraph("g_a", {"x": x}, {"y": y}, "encoder"),
        Subgraph("h_a", {"y": y}, {"z": z}, "encoder"),
        Subgraph("g_a_h_a", {"x": x}, {"y": y, "z": z}, "encoder"),
        Subgraph(H_S, {"z_hat": z}, latents, "both"),
        *(graph for k in range(len(model.groups)) for graph in _passes(model, k, latents, widths[k])),
        Subgraph("g_s", {"y_hat": y}, {"x_hat": x}, "decoder"),
        Subgraph("g_s_0", {"y_hat": y}, {"features": features}, "decoder"),
        Subgraph("g_s_1", {"features": features}, {"x_hat": x}, "decoder"),
        Subgraph(NO_ENTROPY, {"input": x}, {"x_hat": x} | likelihoods, "encoder"),
    ]
    return {graph.name: graph for graph in listed}


def _passes(model: ModelInfo, k: int, latents: dict[str, Tensor], width: int | None) -> tuple[Subgraph, Subgraph]:
    packed = Tensor(model.groups[k], LATENT_STRIDE, packed=True)
    support = Tensor(width, LATENT_STRIDE, packed=True)
    parameters = {"means": packed, "scales": packed}
    decoded = {f"y_hat_{i}": Tensor(model.groups[i], LATENT_STRIDE) for i in model.context_slices[k]}
    return (
        Subgraph(pass_name(k, ANCHOR), latents | decoded, parameters | {"support": support}, "both", (k, ANCHOR)),
        Subgraph(
            pass_name(k, NONANCHOR), {"y_hat_anchor": packed, "support": support}, parameters, "both", (k, NONANCHOR)
        ),
    )
