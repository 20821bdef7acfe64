"""The subgraphs of a bundle, as the templates of compiler inputs see them."""

from collections.abc import Iterable
from dataclasses import dataclass

from elic_runtime.entries import SubgraphInfo, TensorInfo
from elic_runtime.manifest import Manifest
from elic_runtime.subgraphs import Subgraph

BUNDLE = "../.."
"""Path of the bundle, relative to a tool's folder."""

IMAGE_ROLES = frozenset({"x", "input"})
"""Roles of inputs that are images."""


@dataclass(frozen=True)
class Build:
    """A graph at one shape.

    Parameters
    ----------
    name : str
        Name of the graph. If the graph has more than one build, the size of the image follows it.
    shapes : dict of tuple of int
        Shapes by input.
    open_sizes : tuple of int
        Sizes of the dimensions that the graph leaves open, input by input.

    """

    name: str
    shapes: dict[str, tuple[int, ...]]
    open_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A subgraph, as templates see it.

    Parameters
    ----------
    declared : Subgraph
        Its entry in the table of subgraphs.
    info : SubgraphInfo
        Its entry in the manifest.
    labels : tuple of str
        Labels of its smallest and its largest shape in file names.
    in_float32 : bool
        Whether it must be built in float32, since it decides symbols and was not exported in fp16.

    """

    declared: Subgraph
    info: SubgraphInfo
    labels: tuple[str, str]
    in_float32: bool

    @property
    def name(self) -> str:
        """Name of the subgraph."""
        return self.declared.name

    @property
    def path(self) -> str:
        """Path of its file, relative to a tool's folder."""
        return f"{BUNDLE}/{self.info.file}"

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Inputs in the order of the graph."""
        return self.info.inputs

    @property
    def dynamic(self) -> bool:
        """Whether an input has an open dimension."""
        return any(isinstance(dim, str) for tensor in self.inputs for dim in tensor.shape)

    @property
    def decides_symbols(self) -> bool:
        """Whether the encoder and the decoder must compute the same bits with it."""
        return self.declared.decides_symbols

    @property
    def image(self) -> TensorInfo | None:
        """The input that is an image, or None."""
        return next((tensor for tensor in self.inputs if tensor.role in IMAGE_ROLES), None)

    @property
    def sized_as_image(self) -> bool:
        """Whether it has one input, of which H and W are open and nothing else."""
        is_open = [[isinstance(dim, str) for dim in tensor.shape] for tensor in self.inputs]
        return is_open == [[False, False, True, True]]

    @property
    def builds(self) -> tuple[Build, ...]:
        """Builds at its smallest and its largest shape, or at its only one."""
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
        """Smallest shapes of the inputs, such as `x:1,3,512,512`, with `;` between inputs."""
        return ";".join(f"{tensor.name}:{_commas(tensor.smallest)}" for tensor in self.inputs)

    @property
    def open_shapes(self) -> str:
        """Shapes of the inputs in the same form, with -1 for open dimensions."""
        return ";".join(
            f"{tensor.name}:{_commas(-1 if isinstance(dim, str) else dim for dim in tensor.shape)}"
            for tensor in self.inputs
        )


def _commas(sizes: Iterable[int]) -> str:
    return ",".join(map(str, sizes))


def graphs_of(manifest: Manifest) -> tuple[Graph, ...]:
    """Return the subgraphs of a bundle.

    Parameters
    ----------
    manifest : Manifest
        Manifest of the bundle.

    Returns
    -------
    tuple of Graph
        The subgraphs in the order of the manifest.

    """
    return tuple(_graph(manifest, manifest.table[name], info) for name, info in manifest.subgraphs.items())


def _graph(manifest: Manifest, declared: Subgraph, info: SubgraphInfo) -> Graph:
    in_float32 = declared.decides_symbols and manifest.precision != "fp16"
    return Graph(declared, info, _labels(manifest, declared.name), in_float32)


def _labels(manifest: Manifest, name: str) -> tuple[str, str]:
    """Return the labels of the smallest and the largest shape: the image size, after the batch if that is open."""
    extent, batch = manifest.extent(name), manifest.batch
    if batch.fixed:
        return str(extent.min), str(extent.max)
    return f"{batch.min}x{extent.min}", f"{batch.max}x{extent.max}"
