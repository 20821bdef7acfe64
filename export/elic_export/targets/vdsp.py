"""Vastai's image preprocessing, which runs no graph, so that it need not be exact."""

from elic_export.targets.graph import Graph
from elic_export.targets.target import Target

README = """\
These files are the `vdsp_params` of an application's preprocessing, from planar RGB bytes to values from 0 to 1, at the
size of the graph. Give it images that are padded to that size: it scales others, which the codec does not.
"""


class Vdsp(Target):
    """Vastai's image preprocessing, which runs no graph, so that it need not be exact."""

    tool = "vdsp"
    title = "Vastai: vdsp"
    readme = README
    template = "vdsp.json.j2"
    output = "{name}.json"
    per = "build"
    float32 = True

    def fits(self, graph: Graph) -> bool:
        """Return whether the graph takes an image."""
        return graph.image is not None
