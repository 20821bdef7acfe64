"""NVIDIA's TensorRT, through its command trtexec."""

from elic_export.targets.target import Target

README = """\
In `targets/trtexec`, run `./build.sh`. It writes the engines to `engines/`. They run on GPUs of the kind, and with the
version of TensorRT, that built them.
{% if deciding and manifest.arithmetic == "exact" %}
No flag of trtexec rules out Winograd tactics, which are not exact. The codec's check at loading detects them.
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
