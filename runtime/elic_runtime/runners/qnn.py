"""Qualcomm's HTP by ONNX Runtime's QNN provider: on a device, or on x86 in its emulation."""

from importlib.metadata import version
from pathlib import Path

import onnxruntime
import onnxruntime_qnn

from elic_runtime.entries import CompiledTarget, Interface
from elic_runtime.runners.protocol import Arrays, Runner

PROVIDER = "QNNExecutionProvider"

PLATFORMS = {"sm8550": ("43", "73"), "sm8750": ("69", "79")}
"""The provider's `soc_model` and `htp_arch` of each platform."""


class Engine:
    """ONNX Runtime's QNN provider, which runs contexts in fp16."""

    def __init__(self, compiled: CompiledTarget, _threads: int) -> None:
        self._platform = compiled.platform
        if not any(device.ep_name == PROVIDER for device in onnxruntime.get_ep_devices()):
            onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
        self._devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == PROVIDER][:1]

    def __str__(self) -> str:
        return f"QNN {version('onnxruntime-qnn')}, {self._platform}"

    def load(self, graph: Path, info: Interface) -> Runner:
        """Load an `.onnx` file that holds a context; see `Engine.load`."""
        soc_model, htp_arch = PLATFORMS[self._platform]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        provider_options = {
            "backend_path": onnxruntime_qnn.get_qnn_htp_path(),
            "soc_model": soc_model,
            "htp_arch": htp_arch,
            "enable_htp_fp16_precision": "1",
        }
        options.add_provider_for_devices(self._devices, provider_options)
        session = onnxruntime.InferenceSession(str(graph), options)
        names = [output.name for output in info.outputs]

        def run(inputs: Arrays) -> Arrays:
            return dict(zip(names, session.run(names, inputs), strict=True))

        return run
