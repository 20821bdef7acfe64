"""Qualcomm's converter for its HTP, which computes in fp16."""

from elic_export.targets.target import Target

README = """\
In `targets/qnn`, run `./convert.sh`, then `qnn-model-lib-generator` and `qnn-context-binary-generator` on what it wrote
to `cpp/`. The SDK is proprietary: it is for development for Qualcomm's chips and must not be redistributed, so install
it yourself. Shapes are static, so there is one build, and one context, per shape. The converter may change the layout
of inputs and outputs to NHWC; `--preserve_io layout` keeps NCHW.

Alternatively, ONNX Runtime can build the context (`pip install onnxruntime-qnn`; 2.7.0 was tested, which emulates the
device on x86). Register its execution provider library, take the device from `ort.get_ep_devices()`, and set the
session entries
`ep.context_enable`, `ep.context_file_path` and `session.disable_cpu_ep_fallback`, and the provider options
`backend_path` (the HTP library), `soc_model` 43 with `htp_arch` 73 (or 69 with 79) and
`enable_htp_fp16_precision`. Without `soc_model`, it refuses fp16.
"""


class Qnn(Target):
    """Qualcomm's converter for its HTP, which computes in fp16."""

    tool = "qnn"
    title = "Qualcomm QNN"
    readme = README
    template = "qnn.sh.j2"
    output = "convert.sh"
