"""IREE, for the CPU, and with other flags for Vulkan, CUDA and HIP."""

from elic_export.targets.target import Target

README = """\
In `targets/iree`, run `./build.sh`. It writes the modules to `vmfb/`. On the CPU they take about ten times as long as
ONNX Runtime. IREE is of use for Vulkan, CUDA and HIP: change the flags in the script, which needs no GPU to build.
{% if manifest.rewrites and "fold_output_padding" in manifest.rewrites %}
IREE 3.13 does not support the uneven pads that the rewrite `fold_output_padding` makes: leave it out for IREE.
{% endif %}
Compare the results of what it builds with those of ONNX Runtime. IREE 3.13 computes some operators wrongly without a
warning, such as DepthToSpace in mode CRD; the graphs here use mode DCR.
"""


class Iree(Target):
    """IREE, for the CPU, and with other flags for Vulkan, CUDA and HIP."""

    tool = "iree"
    title = "IREE"
    readme = README
    template = "iree.sh.j2"
    output = "build.sh"
    float32 = True
