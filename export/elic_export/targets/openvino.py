"""Intel's OpenVINO, in float32."""

from elic_export.targets.compilation import Compilation
from elic_export.targets.target import Target

README = """\
In `targets/openvino`, run `python convert.py`. It writes the models to `ir/`, with the weights as exported. Compile
them with `INFERENCE_PRECISION_HINT` f32, as the script does. Otherwise, a processor that supports bf16 computes in
bf16: the output of g_a is off by up to 1.45{{ ", and files decode to garbage" if deciding }}.
"""


class OpenVino(Target):
    """Intel's OpenVINO, in float32."""

    tool = "openvino"
    title = "OpenVINO"
    readme = README
    template = "openvino.py.j2"
    output = "convert.py"
    float32 = True
    # The plain deconvolution takes 0.94 of the time of DepthToSpace (512x512, AVX-512, 2 threads).
    compilation = Compilation(
        "openvino",
        "pip install 'elic-deploy[openvino]'",
        ".xml",
        companions=(".bin",),
        precisions=("fp32", "fp16", "int8"),
    )
