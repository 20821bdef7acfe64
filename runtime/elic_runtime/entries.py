"""The entries of a manifest: files, tensors, graphs, and what compilers made of these."""

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from elic_runtime.shapes import Dim, Record, is_symbol
from elic_runtime.subgraphs import decides_symbols


def _plain_name(name: str) -> str:
    if PurePath(name).name != name or not name.isprintable() or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name


def _inner_path(path: str) -> str:
    for name in path.split("/"):
        _plain_name(name)
    return path


FileName = Annotated[str, AfterValidator(_plain_name)]
InnerPath = Annotated[str, AfterValidator(_inner_path)]
"""A path relative to the bundle's folder, with slashes, that does not leave the folder."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

GraphPrecision = Literal["fp32", "fp16", "int8"]
"""Precision of a subgraph's weights and activations. In `int8` some layers of a transform are in 8 bits."""

Precision = Literal["fp32", "fp16", "mixed", "int8"]
"""Precision of a bundle. `mixed` is fp32 for the subgraphs that decide symbols, and fp16 for the others. `int8` has
some layers of g_a and g_s in 8 bits, and the rest in fp32."""


def graph_precision(precision: Precision, subgraph: str) -> GraphPrecision:
    """Return the precision of one subgraph in a bundle of this precision."""
    if precision == "mixed":
        return "fp32" if decides_symbols(subgraph) else "fp16"
    if precision == "int8":
        return "fp32" if decides_symbols(subgraph) or subgraph == "h_a" else "int8"
    return precision


class CheckpointInfo(Record):
    """The checkpoint that the bundle was exported from."""

    name: str
    sha256: Digest


class TensorInfo(Record):
    """One input or output of a subgraph.

    Parameters
    ----------
    name : str
        The tensor's name in the graph.
    renamed : str, optional
        The tensor's role, if the export gave it another name in the graph.
    dtype : {"float32", "float16"}
        The tensor's data type.
    shape : tuple of int or str
        The sizes of the dimensions: numbers, and symbols of `shapes.py` for open dimensions.
    min_shape, max_shape : tuple of int, optional
        The smallest and the largest shape, if a dimension is open.

    """

    name: str
    renamed: str | None = None
    dtype: Literal["float32", "float16"]
    shape: tuple[Dim, ...]
    min_shape: tuple[int, ...] | None = None
    max_shape: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> "TensorInfo":
        if not all(map(is_symbol, self.shape)):
            raise ValueError(f"{self.name}: {list(self.shape)} names an unknown dimension")
        open_ended = any(isinstance(dim, str) for dim in self.shape)
        if open_ended != (self.min_shape is not None) or open_ended != (self.max_shape is not None):
            raise ValueError(f"{self.name}: a shape has min_shape and max_shape if it has symbols, and only then")
        return self

    @property
    def role(self) -> str:
        """The name by which the project knows the tensor, such as `x` or `y_hat`: see docs/architecture.md."""
        return self.renamed or self.name

    @property
    def smallest(self) -> tuple[int, ...]:
        """The smallest shape that the tensor may have."""
        return self.min_shape or tuple(dim for dim in self.shape if isinstance(dim, int))

    @property
    def largest(self) -> tuple[int, ...]:
        """The largest shape that the tensor may have."""
        return self.max_shape or tuple(dim for dim in self.shape if isinstance(dim, int))


class FileInfo(Record):
    """A file of the bundle and the digest of its bytes."""

    file: FileName
    sha256: Digest


class TargetFile(Record):
    """A compiler's input file, in a folder of the bundle, and the digest of its bytes."""

    file: InnerPath
    sha256: Digest


class Interface(Record):
    """The tensors of a subgraph, whatever executes it.

    Parameters
    ----------
    inputs, outputs : tuple of TensorInfo
        The tensors, in the order of the graph.

    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class Reach(Record):
    """How many pixels a graph looks beyond the pixels of an output, in areas that are multiples of its largest stride.

    Parameters
    ----------
    top, bottom, left, right : int
        Pixels of the image.

    """

    top: Annotated[int, Field(ge=0)]
    bottom: Annotated[int, Field(ge=0)]
    left: Annotated[int, Field(ge=0)]
    right: Annotated[int, Field(ge=0)]


class SubgraphInfo(Interface, FileInfo):
    """One exported ONNX graph.

    Parameters
    ----------
    file : str
        Name of the graph's file.
    sha256 : str
        SHA-256 of the file's bytes, in hex.
    inputs, outputs : tuple of TensorInfo
        The graph's tensors, in its order.
    operators : dict of str to int
        How often each operator occurs.
    external_data : FileInfo, optional
        The file of the weights, if they are not in the graph's file.
    cut_after : str, optional
        For a half of g_s: the node of g_s whose output is passed from the first half to the second.
    reach : Reach, optional
        The receptive field, of a graph that is not made of others.
    multiply_adds : int, optional
        Multiply-adds of its convolutions and matrix products, for one image of the largest size that it takes. They are
        proportional to the image's pixels.
    parameters : int, optional
        Numbers in the weights and biases of these. Manifests that were written before these two were counted lack both.

    """

    operators: dict[str, int]
    external_data: FileInfo | None = None
    cut_after: Annotated[str, Field(pattern=r"^/\d{1,2}/")] | None = None
    reach: Reach | None = None
    multiply_adds: Annotated[int, Field(ge=0)] | None = None
    parameters: Annotated[int, Field(ge=0)] | None = None


class ConformanceInfo(FileInfo):
    """A known input, and the outputs that an exact backend computes from it.

    Parameters
    ----------
    file : str
        Name of the known input's file.
    sha256 : str
        SHA-256 of the file's bytes, in hex.
    digests : dict of str to str
        Digest of the outputs of each subgraph that decides symbols: see `conformance.py`.

    """

    digests: dict[str, Digest]


class VerifyInfo(FileInfo):
    """A known photograph and what PyTorch makes of it, to verify a device with: see `verify.py`.

    Parameters
    ----------
    file : str
        Name of the file.
    sha256 : str
        SHA-256 of the file's bytes, in hex.
    limits : dict of str to dict of str to float
        The largest accepted errors, by precision and by question.

    """

    limits: dict[GraphPrecision, dict[str, float]]


class Int8Info(Record):
    """The layers of g_a and g_s that compute in 8 bits, and what that costs.

    Parameters
    ----------
    layers : int
        How many they are.
    kept : tuple of str
        The layers in floating point.
    share : dict of str to float
        Share of the multiply-adds in 8 bits, by transform.
    psnr_lost_db : float
        What they cost in PSNR, on photographs of the calibration that no range was measured on.
    bytes_more : float
        What they cost in bytes, as a share.

    """

    layers: Annotated[int, Field(ge=0)]
    kept: tuple[str, ...]
    share: dict[str, Annotated[float, Field(ge=0, le=1)]]
    psnr_lost_db: float
    bytes_more: float

    def __str__(self) -> str:
        shares = " and ".join(
            f"{100 * share:.0f} % of the multiply-adds of {name}" for name, share in self.share.items()
        )
        costs = f"{self.psnr_lost_db:.3f} dB and {100 * self.bytes_more:.2f} % of the bytes"
        return f"{self.layers} layers with {shares}, which cost {costs}"


class CompiledSubgraph(Interface):
    """What a compiler made of one subgraph.

    Parameters
    ----------
    inputs, outputs : tuple of TensorInfo
        The tensors, in the order of the graph that was compiled.
    files : tuple of TargetFile
        The file that the runner loads, and those that it needs beside it.

    """

    files: Annotated[tuple[TargetFile, ...], Field(min_length=1)]


class Speed(Record):
    """How long the compiled subgraphs take, where they were compiled.

    Parameters
    ----------
    processor : str
        Machine and instruction set.
    threads : int
        How many threads each side used.
    seconds : dict of str to float
        Median time of each subgraph.
    onnxruntime_seconds : dict of str to float
        Median time of the same half's subgraphs in ONNX Runtime, measured in turns with the others.

    """

    processor: str
    threads: Annotated[int, Field(gt=0)]
    seconds: dict[str, Annotated[float, Field(gt=0)]]
    onnxruntime_seconds: dict[str, Annotated[float, Field(gt=0)]]


class CompiledTarget(Record):
    """What one compiler made of a bundle's transforms.

    Parameters
    ----------
    version : str
        Version of the compiler.
    platform : str
        What it was compiled for.
    precision : {"fp32", "fp16", "int8"}
        Precision in which the subgraphs compute.
    int8 : Int8Info, optional
        The layers in 8 bits, of subgraphs in int8.
    rewrites : tuple of str
        Names of the rewrites of the graphs that were compiled.
    simulated : bool
        Whether the results and times are those of a simulator, and not of the device.
    subgraphs : dict of str to CompiledSubgraph
        The compiled subgraphs by name.
    log : TargetFile
        What the compiler printed.
    report : TargetFile, optional
        The results of `elic verify`, where the compiled subgraphs were run.
    passed : bool, optional
        Whether all of its checks passed.
    speed : Speed, optional
        How fast they were.

    """

    version: str
    platform: str
    precision: GraphPrecision
    int8: Int8Info | None = None
    rewrites: tuple[str, ...]
    simulated: bool = False
    subgraphs: dict[str, CompiledSubgraph]
    log: TargetFile
    report: TargetFile | None = None
    passed: bool | None = None
    speed: Speed | None = None

    @property
    def files(self) -> tuple[TargetFile, ...]:
        """All of its files."""
        graphs = tuple(file for graph in self.subgraphs.values() for file in graph.files)
        return (*graphs, self.log, *([self.report] if self.report else []))
