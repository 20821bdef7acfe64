"""Runners, which execute subgraphs: ONNX Runtime, compilers' engines, or an application's own backend."""

from elic_runtime.runners.choosing import AUTO, ENGINES, ONNXRUNTIME, RUNNERS, fastest, installed, open_with
from elic_runtime.runners.compiled import Compiled
from elic_runtime.runners.loading import load_runner
from elic_runtime.runners.onnxruntime import (
    MAX_THREADS,
    WITHOUT_SATURATION,
    OnnxRuntime,
    Provider,
    Providers,
    onnxruntime_factory,
)
from elic_runtime.runners.protocol import Arrays, Closable, Engine, Runner, RunnerFactory, describe_backend

__all__ = [
    "AUTO",
    "ENGINES",
    "MAX_THREADS",
    "ONNXRUNTIME",
    "RUNNERS",
    "WITHOUT_SATURATION",
    "Arrays",
    "Closable",
    "Compiled",
    "Engine",
    "OnnxRuntime",
    "Provider",
    "Providers",
    "Runner",
    "RunnerFactory",
    "describe_backend",
    "fastest",
    "installed",
    "load_runner",
    "onnxruntime_factory",
    "open_with",
]
