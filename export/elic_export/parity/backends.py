"""The backends that are installed, each as runners of the subgraphs that decide symbols."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from elic_runtime.bundle import Bundle
from elic_runtime.conformance import load_deciding
from elic_runtime.entries import Interface
from elic_runtime.errors import BundleError
from elic_runtime.runners import Runner, onnxruntime_factory

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


def _openvino() -> "Iterator[_OnOpenVino]":
    if find_spec("openvino") is not None:
        yield _OnOpenVino()


class _OnOpenVino:
    """Loads ONNX graphs into OpenVINO's CPU plugin, to compute in float32.

    Raises
    ------
    BundleError
        If OpenVINO is installed but cannot be imported.

    """

    def __init__(self) -> None:
        try:
            from elic_runtime.runners.openvino import Engine
        except ImportError as error:
            raise BundleError(f"OpenVINO is installed, but cannot be imported: {error}") from None
        self._engine = Engine()

    def __str__(self) -> str:
        return str(self._engine)

    def __call__(self, name: str, graph: Path, info: Interface) -> Runner:
        try:
            return self._engine.load(graph, info)
        except RuntimeError as error:
            raise BundleError(f"{graph}: OpenVINO cannot compile {name}: {' '.join(str(error).split())}") from None
