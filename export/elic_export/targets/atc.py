"""Huawei's compiler for Ascend processors."""

from elic_export.targets.target import Target

README = """\
In `targets/atc`, run `SOC_VERSION=Ascend310P3 ./build.sh`. It writes the models to `om/`.
{% if graphs | selectattr("in_float32") | list %}
Graphs that decide symbols are built with `must_keep_origin_dtype`. A chip without float32 convolutions refuses them;
keep them on the CPU then. `force_fp32` is not a substitute, since it feeds float16 to the matrix unit.
{% endif %}
{% if plan.graphs | selectattr("dynamic") | list %}
The profiles are the smallest and the largest shape. A model runs at its profiles only, so add the shapes between them
that you use. CANN 6 accepts at most four open dimensions per profile, too few for graphs with several inputs.
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
