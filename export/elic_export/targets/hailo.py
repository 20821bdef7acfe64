"""Hailo's Dataflow Compiler. The device computes in int8."""

from elic_runtime.subgraphs import NO_ENTROPY

from elic_export.targets.graph import Graph
from elic_export.targets.target import Target

README = """\
{% if plan.unfit %}

Left out: what decides symbols, or holds what does, for which int8 is not enough.
{% endif %}
{% if plan.files %}

In `targets/hailo`: `python compile.py {{ (plan.graphs | first).name }} --calibration DIR`, where DIR holds `GRAPH.npy` with some hundred real
inputs, float32 [N, H, W, C]: crops of photographs for x, what the graphs before make of them for the others.
Models come to `hef/`. Everything is int8: accept a build by the PSNR of decoded pictures.
{% endif %}
"""


class Hailo(Target):
    """Hailo's Dataflow Compiler. The device computes in int8."""

    tool = "hailo"
    title = "Hailo"
    readme = README
    template = "hailo.py.j2"
    output = "compile.py"
    open_shapes = False

    def fits(self, graph: Graph) -> bool:
        """Only transforms: int8 is not enough for what decides symbols, or holds what does."""
        return not graph.decides_symbols and graph.name != NO_ENTROPY
