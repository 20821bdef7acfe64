"""Rockchip's NPUs: on a board by rknn-toolkit-lite2, on a desk by the simulator of rknn-toolkit2."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from elic_runtime.entries import CompiledTarget, Interface
from elic_runtime.runners.protocol import Arrays, Runner


class Engine:
    """The NPU of the board that this runs on or, where only rknn-toolkit2 is installed, its simulator.

    The simulator cannot read `.rknn` files: it builds the graph again from the `.onnx` file beside it.
    """

    def __init__(self, compiled: CompiledTarget, _threads: int) -> None:
        self._platform = compiled.platform
        self._board = find_spec("rknnlite") is not None

    def __str__(self) -> str:
        if self._board:
            return f"RKNN {version('rknn-toolkit-lite2')}, {self._platform}"
        return f"RKNN {version('rknn-toolkit2')}, simulator of {self._platform}"

    def load(self, graph: Path, info: Interface) -> Runner:
        """Load a `.rknn` file; see `Engine.load`."""
        return _Session(self._on_board(graph) if self._board else self._simulated(graph), info)

    def _on_board(self, graph: Path) -> Any:
        from rknnlite.api import RKNNLite

        rknn = RKNNLite(verbose=False)
        _check("load_rknn", rknn.load_rknn(str(graph)))
        _check("init_runtime", rknn.init_runtime())
        return rknn

    def _simulated(self, graph: Path) -> Any:
        from rknn.api import RKNN

        rknn = RKNN(verbose=False)
        rknn.config(target_platform=self._platform, optimization_level=3)
        _check("load_onnx", rknn.load_onnx(model=str(graph.with_suffix(".onnx"))))
        _check("build", rknn.build(do_quantization=False))
        _check("init_runtime", rknn.init_runtime(target=None))
        return rknn


class _Session:
    def __init__(self, rknn: Any, info: Interface) -> None:
        self._rknn, self._info = rknn, info

    def __call__(self, inputs: Arrays) -> Arrays:
        given = [np.ascontiguousarray(inputs[tensor.name]) for tensor in self._info.inputs]
        found = self._rknn.inference(inputs=given, data_format=["nchw"] * len(given))
        if found is None:
            raise RuntimeError("inference failed; see RKNN's messages above")
        outputs = zip(self._info.outputs, found, strict=True)
        return {tensor.name: np.asarray(array, np.float32) for tensor, array in outputs}

    def close(self) -> None:
        """Release the NPU's memory."""
        self._rknn.release()


def _check(step: str, code: int) -> None:
    """Raise RuntimeError if a call of RKNN, which returns 0 for success, failed."""
    if code != 0:
        raise RuntimeError(f"{step} failed with code {code}; see RKNN's messages above")
