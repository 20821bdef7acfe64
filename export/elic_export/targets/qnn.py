"""Qualcomm's converter for its HTP, which computes in fp16."""

from elic_export.targets.target import Target

README = """\
In `targets/qnn`: `./convert.sh`; then `qnn-model-lib-generator` and `qnn-context-binary-generator` on what came to
`cpp/`. The SDK's libraries are proprietary, for development for their chips, not to be redistributed: install
them yourself. Shapes are static: one build, and one context, per shape. The converter may turn inputs and outputs
to NHWC: `--preserve_io layout` keeps NCHW.

Or let ONNX Runtime do it (`pip install onnxruntime-qnn`, 2.7.0 was tried; x86 emulates the device): register its
execution provider library, take the device from `ort.get_ep_devices()`, set the session entries
`ep.context_enable`, `ep.context_file_path` and `session.disable_cpu_ep_fallback`, and the provider options
`backend_path` (the HTP library), `soc_model` 43 with `htp_arch` 73 (or 69 with 79) and
`enable_htp_fp16_precision`. Without `soc_model`, fp16 is refused.
"""


class Qnn(Target):
    """Qualcomm's converter for its HTP, which computes in fp16."""

    tool = "qnn"
    title = "Qualcomm QNN"
    readme = README
    template = "qnn.sh.j2"
    output = "convert.sh"
