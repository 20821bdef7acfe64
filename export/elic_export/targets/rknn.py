"""Rockchip's toolkit. The NPU computes in fp16."""

from pathlib import Path
from typing import Any

import onnx

from elic_export.targets.compilation import Compilation, Hint
from elic_export.targets.target import Plan, Target

README = """\
In `targets/rknn`, run `python convert.py --platform rk3588`. It writes the models to `models/`. The toolkit is
proprietary: it is for development for Rockchip's chips and must not be redistributed, so install it yourself, in an
environment of its own (Python 3.11 was tested). A plain install pulls in PyTorch for CUDA, 5.7 GB; to use PyTorch's CPU
build instead:

    pip install --no-deps rknn-toolkit2==2.5.0
    pip install torch==2.13.0 numpy==1.26.4 onnx==1.18.0 "onnxruntime<=1.26" protobuf==4.25.4 psutil ruamel.yaml scipy tqdm \\
        opencv-python-headless==4.11.0.86 fast-histogram "setuptools<81"

For operators that run on the CPU, the build logs "Unkown op target: 0" and continues.
{% if padded %}
RKNN ignores the `output_padding` of ConvTranspose, which {{ names(padded) }} {{ "has" if padded | length == 1 else "have" }}: the build stops with "Got 31
Expected 32" or the like. Export with the rewrite `fold_output_padding`, or with `deconv_to_depth_to_space`, which is
three times as fast in the simulator. Both give the same numbers.
{% else %}
RKNN ignores the `output_padding` of ConvTranspose, but no graph built here has one. Keep the rewrite
`fold_output_padding` or `deconv_to_depth_to_space` in the export config; without it, the build stops with "Got 31
Expected 32".
{% endif %}
{% if plan.graphs | selectattr("dynamic") | list %}
A model runs at its listed shapes only, so add those that you use to the script's list.
{% endif %}
"""


class Rknn(Target):
    """Rockchip's toolkit. The NPU computes in fp16."""

    tool = "rknn"
    title = "Rockchip: RKNN"
    readme = README
    template = "rknn.py.j2"
    output = "convert.py"
    compilation = Compilation(
        "rknn-toolkit2",
        "make setup-rknn, in a checkout",
        ".rknn",
        companions=(".onnx",),
        platforms=("rk3588",),
        rewrites=("deconv_to_depth_to_space",),
        precisions=("fp16",),
        open_shapes=False,
        simulated=True,
        environment=".venv-rknn",
        hints=(
            Hint(
                r"Got:? \d+ Expected:? \d+",
                "RKNN ignores the output_padding of ConvTranspose: use the rewrite fold_output_padding or "
                "deconv_to_depth_to_space",
            ),
        ),
    )

    def context(self, plan: Plan, folder: Path) -> dict[str, Any]:
        """Return `padded`, the graphs with a transposed convolution that has output_padding; see `Target.context`."""
        return {"padded": [graph for graph in plan.graphs if _pads_output(folder / graph.info.file)]}


def _pads_output(graph: Path) -> bool:
    """Return whether a transposed convolution of a graph has output_padding."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    attributes = (attribute for node in nodes if node.op_type == "ConvTranspose" for attribute in node.attribute)
    return any(attribute.name == "output_padding" and any(attribute.ints) for attribute in attributes)
