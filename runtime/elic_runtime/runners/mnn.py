"""Alibaba's MNN, whose Winograd convolutions need fewer multiplications than ONNX Runtime's."""

from importlib.metadata import version
from pathlib import Path

import MNN
import numpy as np

from elic_runtime.entries import CompiledTarget, Interface
from elic_runtime.runners.protocol import Arrays, Runner


class Engine:
    """MNN on the CPU, in float32. Without `precision: high` it would compute in fp16 where the processor can."""

    def __init__(self, _compiled: CompiledTarget, threads: int) -> None:
        options = {"precision": "high", "backend": "CPU", "numThread": threads}
        self._manager = MNN.nn.create_runtime_manager((options,))

    def __str__(self) -> str:
        return f"MNN {version('MNN')}"

    def load(self, graph: Path, info: Interface) -> Runner:
        """Load a `.mnn` file; see `Engine.load`."""
        expr = MNN.expr
        inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (info.inputs, info.outputs))
        module = MNN.nn.load_module_from_file(str(graph), inputs, outputs, runtime_manager=self._manager)

        def run(given: Arrays) -> Arrays:
            arrays = [np.ascontiguousarray(given[name]) for name in inputs]
            found = module.forward([expr.const(array, list(array.shape), expr.NCHW) for array in arrays])
            # What `read` returns is the engine's own memory, which the next run overwrites.
            return {
                name: np.array(expr.convert(value, expr.NCHW).read())
                for name, value in zip(outputs, found, strict=True)
            }

        return run
