"""Huawei's compiler for Ascend processors."""

from elic_export.targets.target import Target

README = """\
In `targets/atc`: `SOC_VERSION=Ascend310P3 ./build.sh`; models come to `om/`.
{% if graphs | selectattr("in_float32") | list %}
Graphs that decide symbols are built with `must_keep_origin_dtype`: a chip without float32 convolutions refuses
them, and they stay on the CPU. `force_fp32` is no way out: it feeds float16 to the matrix unit.
{% endif %}
{% if plan.graphs | selectattr("dynamic") | list %}
The profiles are the smallest and the largest shape: add those between that you use, as the model runs at no
others. CANN 6 takes at most four open dimensions a profile, which is too few for graphs of several inputs.
{% endif %}
"""


class Atc(Target):
    """Huawei's compiler for Ascend processors."""

    tool = "atc"
    title = "Ascend: atc"
    readme = README
    template = "atc.sh.j2"
    output = "build.sh"
    float32 = True
