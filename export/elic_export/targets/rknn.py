"""Rockchip's toolkit. The NPU computes in fp16."""

from pathlib import Path
from typing import Any

import onnx

from elic_export.targets.target import Plan, Target

README = """\
In `targets/rknn`: `python convert.py --platform rk3588`; models come to `models/`. The toolkit is proprietary, for
development for Rockchip's chips, not to be redistributed: install it yourself, in an environment of its own
(Python 3.11 was tried). Plainly installed it pulls torch for CUDA, 5.7 GB (take PyTorch's CPU build); so:

    pip install --no-deps rknn-toolkit2==2.5.0
    pip install torch==2.13.0 numpy==1.26.4 onnx==1.18.0 "onnxruntime<=1.26" protobuf==4.25.4 psutil ruamel.yaml scipy tqdm \\
        opencv-python-headless==4.11.0.86 fast-histogram "setuptools<81"

For operators that run on the CPU the build logs "Unkown op target: 0", and goes on.
{% if padded %}
RKNN drops the `output_padding` of ConvTranspose, which {{ names(padded) }} {{ "has" if padded | length == 1 else "have" }}: the build stops with "Got 31
Expected 32" or the like. Export with the rewrite `fold_output_padding` or `deconv_to_depth_to_space` (the same numbers; three
times as fast in the simulator).
{% else %}
RKNN drops the `output_padding` of ConvTranspose: no graph built here has one. Leave the rewrite
`fold_output_padding` or `deconv_to_depth_to_space` in the export config, or it stops with "Got 31 Expected 32".
{% endif %}
{% if plan.graphs | selectattr("dynamic") | list %}
Its dynamic shapes are a list: add those that you use, as a model takes no others.
{% endif %}
"""


class Rknn(Target):
    """Rockchip's toolkit. The NPU computes in fp16."""

    tool = "rknn"
    title = "Rockchip: RKNN"
    readme = README
    template = "rknn.py.j2"
    output = "convert.py"

    def context(self, plan: Plan, folder: Path) -> dict[str, Any]:
        """`padded`: the graphs with a transposed convolution that has output_padding."""
        return {"padded": [graph for graph in plan.graphs if _pads_output(folder / graph.info.file)]}


def _pads_output(graph: Path) -> bool:
    """Whether a transposed convolution has output_padding."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    attributes = (attribute for node in nodes if node.op_type == "ConvTranspose" for attribute in node.attribute)
    return any(attribute.name == "output_padding" and any(attribute.ints) for attribute in attributes)
