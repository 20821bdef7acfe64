"""Compiler inputs of a bundle: its manifest and the templates of `deploy_configs/targets/` -> `targets/`.

Names, files and shapes come from the manifest, so they are those of the graphs. What each
tool takes is data: `TARGETS`. Subgraphs that decide symbols in exact arithmetic must be
computed in float32, and a tool without it does not get them.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
import onnx
from elic_runtime.files import sha256_file
from elic_runtime.manifest import Manifest, SubgraphInfo, TargetFile, TensorInfo, decides_symbols

from elic_export.config import TARGETS_NAME
from elic_export.errors import ExportError

README_NAME = "README.md"
"""In that folder."""

README_TEMPLATE = "README.md.j2"

BUNDLE = "../.."
"""The bundle, seen from a tool's folder."""

IMAGE_ROLES = frozenset({"x", "input"})


@dataclass(frozen=True)
class Build:
    """A graph at one shape. name: the graph's, and the image's size if there are others."""

    name: str
    shapes: dict[str, tuple[int, ...]]
    open_sizes: tuple[int, ...]
    """Of the dimensions that the graph leaves open, input by input."""


@dataclass(frozen=True)
class Graph:
    """A subgraph, as templates see it.

    labels: of its smallest and its largest shape, in file names.
    in_float32: whether it must be built in float32. That is so if it decides symbols,
    unless it was exported in fp16.
    """

    name: str
    info: SubgraphInfo
    labels: tuple[str, str]
    in_float32: bool

    @property
    def path(self) -> str:
        """Its file, from a tool's folder."""
        return f"{BUNDLE}/{self.info.file}"

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """In the graph's order."""
        return self.info.inputs

    @property
    def dynamic(self) -> bool:
        """Whether a dimension of an input is open."""
        return any(isinstance(dim, str) for tensor in self.inputs for dim in tensor.shape)

    @property
    def decides_symbols(self) -> bool:
        """Whether encoder and decoder must get the same bits from it."""
        return decides_symbols(self.name)

    @property
    def image(self) -> TensorInfo | None:
        """The input that is an image."""
        return next((tensor for tensor in self.inputs if tensor.role in IMAGE_ROLES), None)

    @property
    def sized_as_image(self) -> bool:
        """Whether height and width of the one input are open, and nothing else."""
        is_open = [[isinstance(dim, str) for dim in tensor.shape] for tensor in self.inputs]
        return is_open == [[False, False, True, True]]

    @property
    def builds(self) -> tuple[Build, ...]:
        """At its smallest and its largest shape, or at its only one."""
        smallest, largest = self.labels
        if not self.dynamic:
            return (self._build(self.name, {tensor.name: tensor.smallest for tensor in self.inputs}),)
        return (
            self._build(f"{self.name}_{smallest}", {tensor.name: tensor.smallest for tensor in self.inputs}),
            self._build(f"{self.name}_{largest}", {tensor.name: tensor.largest for tensor in self.inputs}),
        )

    def _build(self, name: str, shapes: dict[str, tuple[int, ...]]) -> Build:
        open_sizes = tuple(
            size
            for tensor in self.inputs
            for dim, size in zip(tensor.shape, shapes[tensor.name], strict=True)
            if isinstance(dim, str)
        )
        return Build(name, shapes, open_sizes)

    @property
    def listed_shapes(self) -> str:
        """Of a static graph: `x:1,3,512,512`, and `;` between inputs."""
        return ";".join(f"{tensor.name}:{_commas(tensor.smallest)}" for tensor in self.inputs)

    @property
    def open_shapes(self) -> str:
        """The same with -1 for open dimensions."""
        return ";".join(
            f"{tensor.name}:{_commas(-1 if isinstance(dim, str) else dim for dim in tensor.shape)}"
            for tensor in self.inputs
        )


def _commas(sizes: Any) -> str:
    return ",".join(map(str, sizes))


def _any_graph(_: Graph) -> bool:
    return True


def _takes_an_image(graph: Graph) -> bool:
    return graph.image is not None


def _is_a_transform(graph: Graph) -> bool:
    """g_a, h_a, g_s, and what they are merged or split into."""
    return not graph.decides_symbols and graph.name != "no_entropy"


@dataclass(frozen=True)
class Target:
    """What one tool takes.

    template: in `deploy_configs/targets/`. output: the file's name; `{name}` is the graph's or the build's.
    per: one file for all graphs, for each graph, or for each of its shapes.
    fits: which graphs make sense for it. float32: whether it computes in it.
    open_shapes: whether it takes graphs with open dimensions, in its own way.
    """

    tool: str
    template: str
    output: str
    per: Literal["bundle", "graph", "build"] = "bundle"
    fits: Callable[[Graph], bool] = _any_graph
    float32: bool = False
    open_shapes: bool = True


TARGETS = (
    Target("vamc", "vamc.yaml.j2", "{name}.yaml", per="graph"),
    # float32: it prepares images, and runs no graph.
    Target("vdsp", "vdsp.json.j2", "{name}.json", per="build", fits=_takes_an_image, float32=True),
    Target("trtexec", "trtexec.sh.j2", "build.sh", float32=True),
    Target("atc", "atc.sh.j2", "build.sh", float32=True),
    Target("qnn", "qnn.sh.j2", "convert.sh"),
    Target("hailo", "hailo.py.j2", "compile.py", fits=_is_a_transform, open_shapes=False),
    Target("openvino", "openvino.py.j2", "convert.py", float32=True),
    Target("iree", "iree.sh.j2", "build.sh", float32=True),
    Target("rknn", "rknn.py.j2", "convert.py"),
)


@dataclass(frozen=True)
class Plan:
    """What a tool gets of a bundle, and what it does not.

    unfit: what makes no sense for it. kept: what must be exact, and would not be.
    moving: what has open dimensions, and may not.
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


def write_targets(manifest: Manifest, folder: Path, templates: Path) -> tuple[TargetFile, ...]:
    """Write the compiler inputs of the bundle in `folder`, whose graphs are there already.

    templates: `deploy_configs/targets/`. Returns what the manifest says of them.
    Raises ExportError if there are no templates.
    """
    if not (templates / README_TEMPLATE).is_file():
        raise ExportError(f"{templates}: no templates of compiler inputs here ({README_TEMPLATE} not found)")
    graphs = tuple(
        Graph(name, info, _labels(manifest, name), decides_symbols(name) and manifest.precision != "fp16")
        for name, info in manifest.subgraphs.items()
    )
    plans = {target.tool: plan(target, graphs, manifest.arithmetic) for target in TARGETS}
    padded = [graph for graph in plans["rknn"].graphs if _pads_output(folder / graph.info.file)]
    environment = _environment(templates)

    def write(path: str, template: str, **more: Any) -> str:
        return _write(folder, f"{TARGETS_NAME}/{path}", environment.get_template(template).render(more, padded=padded))

    written = [
        write(path, each.target.template, graphs=each.graphs, unfit=each.unfit, kept=each.kept, **more)
        for each in plans.values()
        for path, more in each.outputs()
    ]
    deciding = [graph for graph in graphs if graph.decides_symbols]
    readme = write(README_NAME, README_TEMPLATE, manifest=manifest, graphs=graphs, deciding=deciding, plans=plans)
    return tuple(TargetFile(file=path, sha256=sha256_file(folder / path)) for path in (*written, readme))


def plan(target: Target, graphs: tuple[Graph, ...], arithmetic: str) -> Plan:
    """Sort graphs by whether a tool gets them, and why not."""
    unfit = [graph for graph in graphs if not target.fits(graph)]
    exact = arithmetic == "exact" and not target.float32
    kept = [graph for graph in graphs if graph not in unfit and exact and graph.decides_symbols]
    rest = [graph for graph in graphs if graph not in unfit and graph not in kept]
    moving = [graph for graph in rest if graph.dynamic and not target.open_shapes]
    fit = [graph for graph in rest if graph not in moving]
    return Plan(target, tuple(fit), tuple(unfit), tuple(kept), tuple(moving))


def _environment(templates: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, JSON, scripts and Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = shlex.quote
    environment.globals["zip"] = zip
    return environment


def _labels(manifest: Manifest, name: str) -> tuple[str, str]:
    """Of a subgraph's smallest and largest shape: the image's size, and the batch where that is open too."""
    extent, batch = manifest.extent(name), manifest.batch
    if batch.fixed:
        return str(extent.min), str(extent.max)
    return f"{batch.min}x{extent.min}", f"{batch.max}x{extent.max}"


def _pads_output(graph: Path) -> bool:
    """Whether a transposed convolution has output_padding."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    attributes = (attribute for node in nodes if node.op_type == "ConvTranspose" for attribute in node.attribute)
    return any(attribute.name == "output_padding" and any(attribute.ints) for attribute in attributes)


def _write(folder: Path, path: str, text: str) -> str:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")
    if file.suffix == ".sh":
        file.chmod(0o755)
    return path
