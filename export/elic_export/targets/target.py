"""What a target is: one compiler, what it takes of a bundle, and what it is told about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from elic_export.targets.graph import Graph


class Target:
    """One tool. A kind of it says what the tool takes; its template, beside it, says how.

    Attributes
    ----------
    tool : str
        Its name, and its folder's in `targets/`.
    title : str
        Heading of its section of the bundle's README.
    readme : str
        That section without its heading and its files, a Jinja template. It is given the `plan`, the `manifest`,
        all `graphs` of the bundle, those of them that are `deciding` symbols, what `context` returns, and the
        macro `names` of `macros.j2`.
    template : str
        File name of its template in this package.
    output : str
        Name of the file to write; `{name}` is the graph's or the build's.
    per : {"bundle", "graph", "build"}
        Whether there is one file for all graphs, one for each graph, or one for each of its shapes.
    float32 : bool
        Whether it computes in float32, which subgraphs that decide symbols in exact arithmetic need.
    open_shapes : bool
        Whether it takes graphs with open dimensions, in its own way.

    """

    tool: ClassVar[str]
    title: ClassVar[str]
    readme: ClassVar[str]
    template: ClassVar[str]
    output: ClassVar[str]
    per: ClassVar[Literal["bundle", "graph", "build"]] = "bundle"
    float32: ClassVar[bool] = False
    open_shapes: ClassVar[bool] = True

    def fits(self, graph: Graph) -> bool:  # noqa: ARG002 - a kind of target asks it
        """Whether a graph makes sense for the tool."""
        return True

    def context(self, plan: "Plan", folder: Path) -> dict[str, Any]:  # noqa: ARG002
        """What its templates are given besides the plan.

        Parameters
        ----------
        plan : Plan
            What the tool gets.
        folder : Path
            The bundle, whose graphs are there already.

        """
        return {}

    def plan(self, graphs: tuple[Graph, ...], arithmetic: str) -> "Plan":
        """Sort graphs by whether the tool gets them, and why not."""
        unfit = [graph for graph in graphs if not self.fits(graph)]
        exact = arithmetic == "exact" and not self.float32
        kept = [graph for graph in graphs if graph not in unfit and exact and graph.decides_symbols]
        rest = [graph for graph in graphs if graph not in unfit and graph not in kept]
        moving = [graph for graph in rest if graph.dynamic and not self.open_shapes]
        fit = [graph for graph in rest if graph not in moving]
        return Plan(self, tuple(fit), tuple(unfit), tuple(kept), tuple(moving))


@dataclass(frozen=True)
class Plan:
    """What a tool gets of a bundle, and what it does not.

    Parameters
    ----------
    target : Target
        The tool.
    graphs : tuple of Graph
        What it gets.
    unfit : tuple of Graph
        What makes no sense for it.
    kept : tuple of Graph
        What must be exact, and would not be.
    moving : tuple of Graph
        What has open dimensions, which it does not take.

    """

    target: Target
    graphs: tuple[Graph, ...]
    unfit: tuple[Graph, ...]
    kept: tuple[Graph, ...]
    moving: tuple[Graph, ...]

    def outputs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each file, relative to `targets/`, and what its template gets besides the plan."""
        path = f"{self.target.tool}/{self.target.output}"
        if self.target.per == "bundle" and self.graphs:
            yield path, {}
        for graph in self.graphs:
            if self.target.per == "graph":
                yield path.format(name=graph.name), {"graph": graph}
            elif self.target.per == "build":
                yield from ((path.format(name=build.name), {"graph": graph, "build": build}) for build in graph.builds)

    @property
    def files(self) -> tuple[str, ...]:
        """Relative to `targets/`."""
        return tuple(path for path, _ in self.outputs())
