"""Intel's OpenVINO, in float32."""

from elic_export.targets.target import Target

README = """\
In `targets/openvino`: `python convert.py`; models come to `ir/`, weights as exported. Compile them with
`INFERENCE_PRECISION_HINT` f32, as the script does: a processor with bf16 computes in bf16 otherwise, off by 1.45
on g_a{{ ", and files decode to garbage" if deciding }}.
"""


class OpenVino(Target):
    """Intel's OpenVINO, in float32."""

    tool = "openvino"
    title = "OpenVINO"
    readme = README
    template = "openvino.py.j2"
    output = "convert.py"
    float32 = True
