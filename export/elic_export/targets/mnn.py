"""Alibaba's MNN, in float32."""

from elic_export.targets.compilation import Compilation
from elic_export.targets.target import Target

README = """\
In `targets/mnn`, run `python convert.py`. It writes the models to `models/`, with the weights as exported. Load them with
`precision: high`; otherwise MNN computes in fp16 where the processor can. Its convolutions use Winograd's algorithm, which
rounds more than ONNX Runtime's: the output of g_a is off by up to 2e-3, of x_hat by 7e-4.

`elic-export compile --target mnn` converts graphs with the rewrites `conv_to_space_to_depth` and
`deconv_to_depth_to_space`, which make all convolutions fit for that algorithm, and runs what it made.
"""


class Mnn(Target):
    """Alibaba's MNN, in float32, without the subgraphs that Winograd's algorithm must not run."""

    tool = "mnn"
    title = "MNN"
    readme = README
    template = "mnn.py.j2"
    output = "convert.py"
    compilation = Compilation(
        "MNN",
        "pip install 'elic-deploy[mnn]'",
        ".mnn",
        precisions=("fp32", "fp16"),
        # Of the time without: g_a 0.84, g_s 0.75 (512x512, AVX-512, 1 and 2 threads).
        rewrites=("conv_to_space_to_depth", "deconv_to_depth_to_space"),
    )
