"""Intel's OpenVINO on the CPU."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino

from elic_runtime.entries import CompiledTarget, Interface
from elic_runtime.runners.protocol import Arrays, Runner


class Engine:
    """OpenVINO's CPU plugin, in float32. Without the hint it computes in bf16 or fp16 where the processor can."""

    def __init__(self, _compiled: CompiledTarget | None = None, threads: int = 0) -> None:
        self._core = openvino.Core()
        self._options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}

    def __str__(self) -> str:
        return f"OpenVINO {version('openvino')}, CPU, f32"

    def load(self, graph: Path, info: Interface) -> Runner:
        """Load an `.xml` file, with its `.bin` beside it, or an `.onnx` file; see `Engine.load`."""
        compiled = self._core.compile_model(str(graph), "CPU", self._options)
        names = [output.name for output in info.outputs]

        def run(inputs: Arrays) -> Arrays:
            outputs = compiled(inputs)
            return {name: np.array(outputs[name]) for name in names}

        return run
