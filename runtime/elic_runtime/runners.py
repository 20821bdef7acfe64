"""What executes subgraphs. ONNX Runtime here; an application may bring its own.

A runner is one loaded subgraph: named arrays in, named arrays out. A factory loads
them; `Codec.load(runner=...)` takes one, so that an NPU's API needs ten lines.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from elic_runtime.errors import BundleError
from elic_runtime.manifest import SubgraphInfo

Arrays = dict[str, NDArray[np.float32]]

Runner = Callable[[Arrays], Arrays]
"""Inputs by name -> outputs by name, float32, of the shapes that the manifest states."""

RunnerFactory = Callable[[str, Path, SubgraphInfo], Runner]
"""(subgraph's name, its checked .onnx file, its manifest entry) -> its runner."""

Providers = str | Sequence[str | tuple[str, dict[str, Any]]]


def checked(name: str, runner: Runner, info: SubgraphInfo) -> Runner:
    """A runner that raises BundleError unless it gives every declared output, whole and finite.

    What an application plugs in is outside of this project's tests; a wrong layout or a
    NaN would otherwise be painted.
    """

    def run(inputs: Arrays) -> Arrays:
        outputs = runner(inputs)
        for tensor in info.outputs:
            value = outputs.get(tensor.name) if isinstance(outputs, dict) else None
            if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.shape != tensor.shape:
                raise BundleError(f"the runner of {name} gives no {tensor.name}, float32 {list(tensor.shape)}")
            if not np.isfinite(value).all():
                raise BundleError(f"the runner of {name} gives a {tensor.name} that is not finite")
        return outputs

    return run


def onnxruntime_factory(providers: Providers = ("CPUExecutionProvider",), threads: int = 0) -> RunnerFactory:
    """Load subgraphs into ONNX Runtime.

    providers: execution provider, or several in order of preference, each a name or a name and its options.
    threads: per operator; 0 leaves the choice to ONNX Runtime (one per core).
    The factory raises BundleError for a provider that is not here, or a graph that does not load.
    """
    providers = (providers,) if isinstance(providers, str) else providers
    known = onnxruntime.get_available_providers()
    for provider in providers:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in known:
            raise BundleError(f"this ONNX Runtime has no {name}: it has {', '.join(known)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Planned memory is kept by each of 13 sessions: without it, 1168 MB instead of 1873
    # at peak (both ways, 512x768, g_s not rewritten), in the same time.
    options.enable_mem_pattern = False
    # A codec runs one subgraph after the other: threads of the idle ones must not spin
    # (measured on 2 cores: compress 0.73 s instead of 0.97, decompress 0.94 instead of 1.48).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def load(name: str, graph: Path, info: SubgraphInfo) -> Runner:
        try:
            session = onnxruntime.InferenceSession(str(graph), options, providers=list(providers))
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise BundleError(f"{graph}: ONNX Runtime cannot load {name}: {error}") from None
        names = [output.name for output in info.outputs]
        for declared, found in ((info.inputs, session.get_inputs()), (info.outputs, session.get_outputs())):
            if [(t.name, list(t.shape)) for t in declared] != [(t.name, t.shape) for t in found]:
                raise BundleError(f"{graph}: its inputs and outputs are not those that the manifest states")

        def run(inputs: Arrays) -> Arrays:
            try:
                return dict(zip(names, session.run(names, inputs), strict=True))
            except Exception as error:
                raise BundleError(f"ONNX Runtime cannot run {name}: {' '.join(str(error).split())}") from None

        return run

    return load
