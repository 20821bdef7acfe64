"""The base class of targets, each of which writes the input files of one compiler."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from elic_export.targets.compilation import Compilation
from elic_export.targets.graph import Graph


class Target:
    """Base class of targets. A subclass says which graphs a tool takes, and its template has the tool's input.

    Attributes
    ----------
    tool : str
        Name of the tool, and of its folder in `targets/`.
    title : str
        Heading of its section in the README of `targets/`.
    readme : str
        Jinja template of that section, without its heading and its list of files. It can use the `plan`, the
        `manifest`, all `graphs` of the bundle, the graphs `deciding` symbols, what `context` returns, and the macro
        `names` of `macros.j2`.
    template : str
        Name of the template's file in this package.
    output : str
        Name of the file to write, where `{name}` stands for that of the graph or build.
    per : {"bundle", "graph", "build"}
        Whether there is one file for all graphs, one per graph, or one per shape of a graph.
    float32 : bool
        Whether the tool computes in float32, as subgraphs that decide symbols in exact arithmetic must be.
    open_shapes : bool
        Whether the tool takes graphs with open dimensions.
    script : tuple of str, optional
        Name and template of one more file for all graphs: the script that compiles them, if `output` is not it.
    compilation : Compilation, optional
        How `elic-export compile` runs the script. None if the tool is not on PyPI, so that only its input is written.

    """

    tool: ClassVar[str]
    title: ClassVar[str]
    readme: ClassVar[str]
    template: ClassVar[str]
    output: ClassVar[str]
    per: ClassVar[Literal["bundle", "graph", "build"]] = "bundle"
    float32: ClassVar[bool] = False
    open_shapes: ClassVar[bool] = True
    script: ClassVar[tuple[str, str] | None] = None
    compilation: ClassVar[Compilation | None] = None

    def fits(self, graph: Graph) -> bool:  # noqa: ARG002 - for subclasses
        """Return whether a graph makes sense for the tool.

        Parameters
        ----------
        graph : Graph
            A subgraph of the bundle.

        """
        return True

    def context(self, plan: "Plan", folder: Path) -> dict[str, Any]:  # noqa: ARG002
        """Return variables for the templates of the tool's file and README section.

        Parameters
        ----------
        plan : Plan
            The graphs that the tool gets.
        folder : Path
            Folder of the bundle, which contains the graphs already.

        """
        return {}

    def plan(self, graphs: tuple[Graph, ...], arithmetic: str) -> "Plan":
        """Decide which graphs the tool gets.

        Parameters
        ----------
        graphs : tuple of Graph
            All subgraphs of the bundle.
        arithmetic : {"exact", "float"}
            Arithmetic of those that decide symbols.

        Returns
        -------
        Plan
            The graphs that the tool gets, and those that it does not, by reason.

        """
        unfit = [graph for graph in graphs if not self.fits(graph)]
        exact = arithmetic == "exact" and not self.float32
        kept = [graph for graph in graphs if graph not in unfit and exact and graph.decides_symbols]
        rest = [graph for graph in graphs if graph not in unfit and graph not in kept]
        moving = [graph for graph in rest if graph.dynamic and not self.open_shapes]
        fit = [graph for graph in rest if graph not in moving]
        return Plan(self, tuple(fit), tuple(unfit), tuple(kept), tuple(moving))


@dataclass(frozen=True)
class Plan:
    """The graphs that a tool gets, and those that it does not, by reason.

    Parameters
    ----------
    target : Target
        The tool.
    graphs : tuple of Graph
        The graphs that it gets.
    unfit : tuple of Graph
        Graphs that make no sense for it.
    kept : tuple of Graph
        Graphs that must be exact, which they would not be.
    moving : tuple of Graph
        Graphs with open dimensions, which it does not take.

    """

    target: Target
    graphs: tuple[Graph, ...]
    unfit: tuple[Graph, ...]
    kept: tuple[Graph, ...]
    moving: tuple[Graph, ...]

    def outputs(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield the files to write.

        Yields
        ------
        tuple of str, str and dict
            Path relative to `targets/`, its template, and variables for that.

        """
        tool, template = self.target.tool, self.target.template
        path = f"{tool}/{self.target.output}"
        if self.target.per == "bundle" and self.graphs:
            yield path, template, {}
        for graph in self.graphs:
            if self.target.per == "graph":
                yield path.format(name=graph.name), template, {"graph": graph}
            elif self.target.per == "build":
                for build in graph.builds:
                    yield path.format(name=build.name), template, {"graph": graph, "build": build}
        if self.target.script is not None and self.graphs:
            name, template = self.target.script
            yield f"{tool}/{name}", template, {}

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files to write, relative to `targets/`."""
        return tuple(path for path, _, _ in self.outputs())
