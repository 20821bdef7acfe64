"""Qualcomm's converter for its HTP, which computes in fp16."""

from elic_export.targets.compilation import Compilation
from elic_export.targets.target import Target

README = """\
In `targets/qnn`, run `./convert.sh`, then `qnn-model-lib-generator` and `qnn-context-binary-generator` on what it wrote
to `cpp/`. The SDK is proprietary: it is for development for Qualcomm's chips and must not be redistributed, so install
it yourself. Shapes are static, so there is one build, and one context, per shape. The converter may change the layout
of inputs and outputs to NHWC; `--preserve_io layout` keeps NCHW.

Alternatively, ONNX Runtime builds contexts: `python convert.py --platform sm8550` (`pip install onnxruntime-qnn`; 2.7.0
was tested, which emulates the device on x86). `elic-export compile --target qnn` does this, with the rewrites that suit
it, and runs what it made.
"""


class Qnn(Target):
    """Qualcomm's converter for its HTP, which computes in fp16."""

    tool = "qnn"
    title = "Qualcomm QNN"
    readme = README
    template = "qnn.sh.j2"
    output = "convert.sh"
    script = ("convert.py", "qnn.py.j2")
    compilation = Compilation(
        "onnxruntime-qnn",
        "make setup-qnn, in a checkout",
        ".onnx",
        platforms=("sm8550", "sm8750"),
        runnable=("sm8550", "sm8750"),
        rewrites=("deconv_to_depth_to_space",),
        precisions=("fp16", "int8"),
        open_shapes=False,
        simulated=True,
        environment=".venv-qnn",
    )
