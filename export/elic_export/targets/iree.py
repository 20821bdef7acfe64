"""IREE: the CPU here, and through other flags Vulkan, CUDA and HIP."""

from elic_export.targets.target import Target

README = """\
In `targets/iree`: `./build.sh`; modules come to `vmfb/`. On the CPU they take about ten times as long as ONNX Runtime;
the point is Vulkan, CUDA and HIP, to which the flags in the script can be changed without a GPU here.
{% if manifest.rewrites and "fold_output_padding" in manifest.rewrites %}
IREE 3.13 does not take the uneven pads that the rewrite `fold_output_padding` makes: leave it out for IREE.
{% endif %}
Compare what it builds with ONNX Runtime's results: 3.13 computes some operators wrongly without a warning, such as
DepthToSpace in mode CRD, which is why graphs here have mode DCR.
"""


class Iree(Target):
    """IREE: the CPU here, and through other flags Vulkan, CUDA and HIP."""

    tool = "iree"
    title = "IREE"
    readme = README
    template = "iree.sh.j2"
    output = "build.sh"
    float32 = True
