"""IREE, on the CPU or a GPU."""

from importlib.metadata import version
from pathlib import Path

import iree.runtime
import numpy as np

from elic_runtime.entries import CompiledTarget, Interface
from elic_runtime.runners.protocol import Arrays, Runner

DRIVERS = {"llvm-cpu": "local-task", "vulkan-spirv": "vulkan", "cuda": "cuda", "hip": "hip"}
"""The driver that runs what was compiled for a platform."""


class Engine:
    """IREE's runtime. It uses a thread per core, whatever `threads` says."""

    def __init__(self, compiled: CompiledTarget, _threads: int) -> None:
        self._driver = DRIVERS[compiled.platform]

    def __str__(self) -> str:
        return f"IREE {version('iree-base-runtime')}, {self._driver}"

    def load(self, graph: Path, info: Interface) -> Runner:
        """Load a `.vmfb` file; see `Engine.load`."""
        module = iree.runtime.load_vm_flatbuffer_file(str(graph), driver=self._driver)
        inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (info.inputs, info.outputs))

        def run(given: Arrays) -> Arrays:
            found = module.main_graph(*(np.ascontiguousarray(given[name]) for name in inputs))
            found = found if isinstance(found, tuple | list) else (found,)
            return {name: np.array(array) for name, array in zip(outputs, found, strict=True)}

        return run
