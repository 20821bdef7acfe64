"""The known input that goes with an exact bundle, and what PyTorch makes of it in float64.

Its digests go into the manifest, its tensors to `export.py`, which holds every graph
that decides symbols to them, bit by bit.
"""

import copy

import numpy as np
import torch
from elic_models import ELIC
from elic_runtime.conformance import Patches, Trace, trace
from elic_runtime.model_info import ModelInfo
from elic_runtime.runners import Arrays, Runner
from elic_runtime.shapes import Shape
from numpy.typing import NDArray

from elic_export.errors import InexactError
from elic_export.exact.deployment import Deployment
from elic_export.graphs.declare import Declaration, declare_codec

PATCHES = (4, 16)
"""Height and width of the known symbols of z and of y."""

_SPREADS = (0.1, 30.0)
"""Of the known symbols, from nearly all zeros, as in smooth areas, to what drives activations to their limits."""


def known_patches(model: ELIC) -> Patches:
    """Symbols whose spread differs from position to position: int8, z [N, 4, 4] and y [M, 16, 16]."""
    rng = np.random.default_rng(0)

    def patch(channels: int, size: int) -> NDArray[np.int8]:
        spread = np.geomspace(*_SPREADS, size * size)[rng.permutation(size * size)].reshape(size, size)
        return np.rint(rng.laplace(size=(channels, size, size)) * spread).clip(-127, 127).astype(np.int8)

    return patch(model.spec.N, PATCHES[0]), patch(model.spec.M, PATCHES[1])


def known_trace(deployment: Deployment, info: ModelInfo, shape: Shape, batch: int, patches: Patches) -> Trace:
    """What goes in and out of every subgraph that decides symbols.

    Raises InexactError where float32 and float64 differ: the proof has a hole then.
    """
    medians = deployment.tables.medians
    exact, found = (
        trace(info, shape, batch, patches, medians, torch_runners(deployment, dtype))
        for dtype in (torch.float64, torch.float32)
    )
    for name, (_, outputs) in exact.items():
        for tensor, values in outputs.items():
            if not np.array_equal(values, found[name][1][tensor]):
                raise InexactError(name, f"{tensor} differs between float32 and float64")
    return exact


def torch_runners(deployment: Deployment, dtype: torch.dtype = torch.float32) -> dict[str, Runner]:
    """PyTorch as a backend: the runners of the subgraphs that decide symbols."""
    graphs = declare_codec(deployment.model.spec)
    return {graph.name: _torch_runner(graph, deployment, dtype) for graph in graphs if graph.decides_symbols}


def _torch_runner(graph: Declaration, deployment: Deployment, dtype: torch.dtype) -> Runner:
    module = copy.deepcopy(graph.build(deployment)).to(dtype).eval()

    @torch.inference_mode()
    def run(inputs: Arrays) -> Arrays:
        outputs = module(*(torch.from_numpy(inputs[name]).to(dtype) for name in graph.subgraph.inputs))
        return {name: t.float().contiguous().numpy() for name, t in zip(graph.subgraph.outputs, outputs, strict=True)}

    return run
