"""Vastai's image preprocessing. It runs no graph, so nothing of it must be exact."""

from elic_export.targets.graph import Graph
from elic_export.targets.target import Target

README = """\
They are the `vdsp_params` of an application's preprocessing: planar RGB bytes to 0..1, at the graph's
size. Give it images that are padded to that size already: it would scale others, which is not what the codec does.
"""


class Vdsp(Target):
    """Vastai's image preprocessing. It runs no graph, so nothing of it must be exact."""

    tool = "vdsp"
    title = "Vastai: vdsp"
    readme = README
    template = "vdsp.json.j2"
    output = "{name}.json"
    per = "build"
    float32 = True

    def fits(self, graph: Graph) -> bool:
        """Only graphs that take an image."""
        return graph.image is not None
