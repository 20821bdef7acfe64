"""The known input of an exact bundle, and the outputs that PyTorch computes from it in float64.

`bundle.py` writes the input and the digests of the outputs, for the runtime's conformance check. `onnx_file.py`
compares every exported graph that decides symbols with the outputs, bit by bit.
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
"""Height, and width, of the known symbols of z and of y."""

_SPREADS = (0.1, 30.0)
"""Smallest and largest spread of the known symbols: nearly all zeros, as in smooth areas, to saturated activations."""


def known_patches(model: ELIC) -> Patches:
    """Draw pseudorandom symbols whose spread differs from position to position.

    Parameters
    ----------
    model : ELIC
        The model that the symbols are for.

    Returns
    -------
    tuple of ndarray
        Symbols of z, int8 [N, 4, 4], and of y, int8 [M, 16, 16]. They are the same in every call.

    """
    rng = np.random.default_rng(0)

    def patch(channels: int, size: int) -> NDArray[np.int8]:
        spread = np.geomspace(*_SPREADS, size * size)[rng.permutation(size * size)].reshape(size, size)
        symbols = np.rint(rng.laplace(size=(channels, size, size)) * spread)
        return np.asarray(symbols.clip(-127, 127), np.int8)

    return patch(model.spec.N, PATCHES[0]), patch(model.spec.M, PATCHES[1])


def known_trace(deployment: Deployment, info: ModelInfo, shape: Shape, batch: int, patches: Patches) -> Trace:
    """Compute the inputs and outputs of every subgraph that decides symbols, for the known input.

    Parameters
    ----------
    deployment : Deployment
        The model in exact arithmetic.
    info : ModelInfo
        Its widths and wiring.
    shape : Shape
        Height and width of the image, in pixels, that the graphs are computed for.
    batch : int
        Number of images.
    patches : Patches
        The known symbols of z and of y, as `known_patches` returns them.

    Returns
    -------
    Trace
        Inputs and outputs by subgraph, computed in float64.

    Raises
    ------
    InexactError
        If float32 gives other outputs than float64, which the proof should have ruled out.

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
    """Return runners of the subgraphs that decide symbols, with PyTorch as the backend.

    Parameters
    ----------
    deployment : Deployment
        The model to run.
    dtype : torch.dtype
        Precision to compute in. Inputs and outputs are float32.

    Returns
    -------
    dict of str to Runner
        Runners by subgraph.

    """
    graphs = declare_codec(deployment.model.spec)
    return {graph.name: _torch_runner(graph, deployment, dtype) for graph in graphs if graph.decides_symbols}


def _torch_runner(graph: Declaration, deployment: Deployment, dtype: torch.dtype) -> Runner:
    module = copy.deepcopy(graph.build(deployment)).to(dtype).eval()

    @torch.inference_mode()
    def run(inputs: Arrays) -> Arrays:
        outputs = module(*(torch.from_numpy(inputs[name]).to(dtype) for name in graph.subgraph.inputs))
        return {name: t.float().contiguous().numpy() for name, t in zip(graph.subgraph.outputs, outputs, strict=True)}

    return run
