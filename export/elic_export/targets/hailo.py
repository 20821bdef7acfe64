"""Hailo's Dataflow Compiler. The device computes in int8."""

from elic_runtime.subgraphs import NO_ENTROPY

from elic_export.targets.graph import Graph
from elic_export.targets.target import Target

README = """\
{% if plan.unfit %}

Left out: graphs that decide symbols or contain such graphs, for which int8 is not precise enough.
{% endif %}
{% if plan.files %}

In `targets/hailo`, run `python compile.py {{ (plan.graphs | first).name }} --calibration DIR`. It writes the models to `hef/`.
DIR must contain `GRAPH.npy` with some hundred real inputs of the graph, float32 [N, H, W, C]: crops of photographs for
x, and for other inputs what the preceding graphs compute from the crops. Everything is quantized to int8, so accept a
build by the PSNR of decoded pictures.
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
        """Return whether it is a transform: int8 is too coarse for graphs that decide symbols, or contain such."""
        return not graph.decides_symbols and graph.name != NO_ENTROPY
