"""The backends that are installed, each as runners of the subgraphs that decide symbols."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from elic_runtime.bundle import Bundle
from elic_runtime.conformance import load_deciding
from elic_runtime.errors import BundleError
from elic_runtime.manifest import SubgraphInfo
from elic_runtime.runners import Arrays, Runner, onnxruntime_factory

from elic_export.exact.deployment import Deployment
from elic_export.known_input import torch_runners

Backends = dict[str, dict[str, Runner]]
"""Runners by backend and subgraph."""


def backends(bundle: Bundle, deployment: Deployment) -> Backends:
    """Load PyTorch, ONNX Runtime in several settings, and OpenVINO if it is installed.

    Parameters
    ----------
    bundle : Bundle
        An exact bundle.
    deployment : Deployment
        The model that it was exported from.

    Returns
    -------
    dict of dict of Runner
        Runners by backend and subgraph.

    Raises
    ------
    BundleError
        If a backend cannot load a subgraph.

    """
    found: Backends = {"PyTorch": torch_runners(deployment)}
    factories: list[Any] = [
        onnxruntime_factory(threads=1),
        onnxruntime_factory(threads=2),
        onnxruntime_factory(threads=2, optimize=False),
        *_openvino(),
    ]
    return found | {str(factory): load_deciding(bundle, factory) for factory in factories}


def _openvino() -> Iterator["OpenVino"]:
    if find_spec("openvino") is not None:
        yield OpenVino()


class OpenVino:
    """Loads subgraphs into OpenVINO's CPU plugin, to compute in float32.

    Without the precision hint, it computes in bf16 on processors that support it, which is not exact.

    Raises
    ------
    BundleError
        If OpenVINO is installed but cannot be imported.

    """

    def __init__(self) -> None:
        try:
            import openvino
        except ImportError as error:
            raise BundleError(f"OpenVINO is installed, but cannot be imported: {error}") from None
        self._core = openvino.Core()
        self._name = f"OpenVINO {openvino.__version__.split('-')[0]}, CPU, f32"

    def __str__(self) -> str:
        return self._name

    def __call__(self, name: str, graph: Path, info: SubgraphInfo) -> Runner:
        """Compile one subgraph.

        Parameters
        ----------
        name : str
            Name of the subgraph.
        graph : Path
            Its file.
        info : SubgraphInfo
            Its entry in the manifest.

        Raises
        ------
        BundleError
            If OpenVINO cannot compile it.

        """
        try:
            compiled = self._core.compile_model(str(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise BundleError(f"{graph}: OpenVINO cannot compile {name}: {' '.join(str(error).split())}") from None
        names = [output.name for output in info.outputs]

        def run(inputs: Arrays) -> Arrays:
            try:
                outputs = compiled(inputs)
            except RuntimeError as error:
                raise BundleError(f"OpenVINO cannot run {name}: {' '.join(str(error).split())}") from None
            return {output: np.array(outputs[output]) for output in names}

        return run
