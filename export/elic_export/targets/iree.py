"""IREE, for the CPU, Vulkan and CUDA."""

from elic_export.targets.compilation import Compilation, Hint
from elic_export.targets.target import Target

README = """\
In `targets/iree`, run `python convert.py`. It writes the modules to `vmfb/`. On the CPU they take about ten times as long
as ONNX Runtime. IREE is of use for GPUs: `--platform vulkan-spirv` and `--platform cuda` need none to build.
{% if manifest.rewrites and "fold_output_padding" in manifest.rewrites %}
IREE 3.13 does not support the uneven pads that the rewrite `fold_output_padding` makes: leave it out for IREE.
{% endif %}
Compare the results of what it builds with those of ONNX Runtime. IREE 3.13 computes some operators wrongly without a
warning, such as DepthToSpace in mode CRD; the graphs here use mode DCR.
"""


class Iree(Target):
    """IREE, for the CPU, Vulkan and CUDA."""

    tool = "iree"
    title = "IREE"
    readme = README
    template = "iree.py.j2"
    output = "convert.py"
    float32 = True
    compilation = Compilation(
        "iree-base-compiler",
        "pip install 'elic-deploy[iree]'",
        ".vmfb",
        platforms=("llvm-cpu", "vulkan-spirv", "cuda"),
        runnable=("llvm-cpu",),
        rewrites=("deconv_to_depth_to_space",),
        hints=(
            Hint(
                r"failed to legalize operation 'torch\.operator'[^\n]*?\"onnx\.(\w+)\"",
                "IREE does not support \\1 as it is here: use the rewrite deconv_to_depth_to_space",
            ),
        ),
    )
