"""Runners, which execute subgraphs: ONNX Runtime, or an application's own backend."""

from elic_runtime.runners.loading import load_runner
from elic_runtime.runners.onnxruntime import MAX_THREADS, OnnxRuntime, Provider, Providers, onnxruntime_factory
from elic_runtime.runners.protocol import Arrays, Runner, RunnerFactory, describe_backend

__all__ = [
    "MAX_THREADS",
    "Arrays",
    "OnnxRuntime",
    "Provider",
    "Providers",
    "Runner",
    "RunnerFactory",
    "describe_backend",
    "load_runner",
    "onnxruntime_factory",
]
