"""A bundle's subgraphs as the templates of compiler inputs see them."""

from collections.abc import Iterable
from dataclasses import dataclass

from elic_runtime.manifest import Manifest, SubgraphInfo, TensorInfo
from elic_runtime.subgraphs import Subgraph

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

    declared: Subgraph
    info: SubgraphInfo
    labels: tuple[str, str]
    in_float32: bool

    @property
    def name(self) -> str:
        """The subgraph's name."""
        return self.declared.name

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
        return self.declared.decides_symbols

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


def _commas(sizes: Iterable[int]) -> str:
    return ",".join(map(str, sizes))


def graphs_of(manifest: Manifest) -> tuple[Graph, ...]:
    """The subgraphs of a bundle, in the manifest's order."""
    return tuple(_graph(manifest, manifest.table[name], info) for name, info in manifest.subgraphs.items())


def _graph(manifest: Manifest, declared: Subgraph, info: SubgraphInfo) -> Graph:
    in_float32 = declared.decides_symbols and manifest.precision != "fp16"
    return Graph(declared, info, _labels(manifest, declared.name), in_float32)


def _labels(manifest: Manifest, name: str) -> tuple[str, str]:
    """Of a subgraph's smallest and largest shape: the image's size, and the batch where that is open too."""
    extent, batch = manifest.extent(name), manifest.batch
    if batch.fixed:
        return str(extent.min), str(extent.max)
    return f"{batch.min}x{extent.min}", f"{batch.max}x{extent.max}"
