"""NVIDIA's TensorRT, through its command trtexec."""

from elic_export.targets.target import Target

README = """\
In `targets/trtexec`: `./build.sh`; engines come to `engines/`. They run on the kind of GPU and the TensorRT that
built them.
{% if deciding and manifest.arithmetic == "exact" %}
The codec's check at loading also finds a Winograd tactic, which no flag of trtexec rules out.
{% endif %}
"""


class Trtexec(Target):
    """NVIDIA's TensorRT, through its command trtexec."""

    tool = "trtexec"
    title = "NVIDIA TensorRT: trtexec"
    readme = README
    template = "trtexec.sh.j2"
    output = "build.sh"
    float32 = True
