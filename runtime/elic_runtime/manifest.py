"""The manifest: what a bundle contains. The exporter writes it and the codec reads it, by `manifest_file.py`."""

from functools import cached_property
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import MAX_PIXELS, Batch, Dim, Extent, Record, fix, fixed_sizes, is_symbol, resolve
from elic_runtime.subgraphs import Subgraph, decides_symbols, subgraphs

FORMAT_VERSION = 4
"""Version of the bundle format: the files of a bundle, and the manifest. A program reads only its own version."""

TABLES_NAME = "entropy_tables.npz"
CALIBRATION_NAME = "calibration.npz"
CONFORMANCE_NAME = "conformance.npz"
TARGETS_NAME = "targets"
"""Folder of the compilers' input files."""

REPORT_NAME = "parity.json"
HTML_NAME = "parity.html"
"""The parity report as JSON and as HTML. The manifest does not list these files."""


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

GraphPrecision = Literal["fp32", "fp16"]
"""Precision of a subgraph's weights and activations."""

Precision = Literal["fp32", "fp16", "mixed"]
"""Precision of a bundle. `mixed` is fp32 for the subgraphs that decide symbols, and fp16 for the others."""


def graph_precision(precision: Precision, subgraph: str) -> GraphPrecision:
    """Return the precision of one subgraph in a bundle of this precision."""
    if precision == "mixed":
        return "fp32" if decides_symbols(subgraph) else "fp16"
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


class SubgraphInfo(FileInfo):
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

    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    external_data: FileInfo | None = None
    cut_after: Annotated[str, Field(pattern=r"^/\d{1,2}/")] | None = None


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


class Manifest(Record):
    """A bundle's table of contents.

    Parameters
    ----------
    format_version : int
        Version of the bundle format.
    producer : str
        Name and version of the program that wrote the bundle.
    model : ModelInfo
        Widths and wiring of the model.
    checkpoint : CheckpointInfo
        The checkpoint that was exported.
    form : {"static", "dynamic", "no-entropy"}
        `static` and `dynamic` bundles are codecs; `no-entropy` is one end-to-end graph.
    encoder, decoder : Extent
        The shapes of x that g_a and h_a take, and those that the other subgraphs take.
    batch : Batch
        How many images the subgraphs take at once.
    opset : int
        The ONNX opset.
    rewrites : tuple of str
        Names of the rewrites that the exporter applied.
    precision : {"fp32", "fp16", "mixed"}
        Precision of weights and activations.
    arithmetic : {"exact", "float"}
        Arithmetic of h_s and the context subgraphs, on which symbols depend. Files of `exact` bundles decode on any
        machine, those of `float` bundles only with the same backend, thread count and processor.
    subgraphs : dict of str to SubgraphInfo
        The exported graphs by name.
    entropy_tables : FileInfo
        The file of the entropy tables.
    calibration : FileInfo, optional
        The calibration of exact arithmetic.
    conformance : ConformanceInfo, optional
        The known input; exact codecs have one.
    targets : tuple of TargetFile
        The compilers' input files.
    sources : str
        Digest of everything that the export was made from.
    fingerprint : str
        Digest of everything that gives a bit stream its meaning. Bundles with the same fingerprint can decode each
        other's files.

    """

    format_version: Annotated[int, Field(ge=FORMAT_VERSION, le=FORMAT_VERSION)] = FORMAT_VERSION
    producer: str
    model: ModelInfo
    checkpoint: CheckpointInfo
    form: Literal["static", "dynamic", "no-entropy"]
    encoder: Extent
    decoder: Extent
    batch: Batch
    opset: int
    rewrites: tuple[str, ...]
    precision: Precision
    arithmetic: Literal["exact", "float"]
    subgraphs: dict[str, SubgraphInfo]
    entropy_tables: FileInfo
    calibration: FileInfo | None = None
    conformance: ConformanceInfo | None = None
    targets: tuple[TargetFile, ...] = ()
    sources: Digest
    fingerprint: Digest

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        if (self.arithmetic == "exact" and self.form != "no-entropy") != (self.conformance is not None):
            raise ValueError("a codec of exact arithmetic has conformance digests, and no other bundle has them")
        for extent in (self.encoder, self.decoder):
            if extent.min.pixels * self.batch.min > MAX_PIXELS:
                raise ValueError(f"batches of at least {self.batch.min} images of {extent.min} are beyond the limit")
        ends = (self.encoder.min, self.encoder.max)
        if not all(self.decoder.holds(shape.height, shape.width) for shape in ends):
            raise ValueError(f"the encoder's shapes {self.encoder} are not within the decoder's {self.decoder}")
        for name, info in self.subgraphs.items():
            if name not in self.table:
                raise ValueError(f"{name!r} is not a subgraph of this model")
            self._check_roles(self.table[name], info)
            self._check_shapes(self.table[name], info)
        return self

    def _check_roles(self, declared: Subgraph, info: SubgraphInfo) -> None:
        """Raise ValueError unless the graph has the declared inputs and outputs, which the codec uses by role."""
        name, taken, given = declared.name, [tensor.role for tensor in info.inputs], {t.role for t in info.outputs}
        absent = {role for role, tensor in declared.outputs.items() if not tensor.optional} - given
        if absent:
            raise ValueError(f"{name}: does not return {', '.join(sorted(absent))}")
        if given - declared.outputs.keys():
            surplus = ", ".join(sorted(given - declared.outputs.keys()))
            raise ValueError(f"{name}: returns {surplus}, which no subgraph takes")
        if set(taken) != declared.inputs.keys() or len(taken) != len(declared.inputs):
            raise ValueError(f"{name}: does not take {', '.join(sorted(declared.inputs))}")

    @cached_property
    def table(self) -> dict[str, Subgraph]:
        """The declarations of all subgraphs that a bundle of this model may contain."""
        return subgraphs(self.model)

    def extent(self, subgraph: str) -> Extent:
        """Return the shapes of x that a subgraph takes."""
        return self.encoder if self.table[subgraph].encoder_only else self.decoder

    def _check_shapes(self, declared: Subgraph, info: SubgraphInfo) -> None:
        """Raise ValueError unless every tensor has the shape and range that follow from the model and the extent."""
        name, extent = declared.name, self.extent(declared.name)
        tensors = declared.inputs | declared.outputs
        sizes = fixed_sizes(extent, self.batch)
        ends = ((self.batch.min, extent.min), (self.batch.max, extent.max))
        for tensor in (*info.inputs, *info.outputs):
            declared_tensor = tensors[tensor.role]
            if declared_tensor.known and tensor.shape != fix(declared_tensor.dims, sizes):
                wanted = list(fix(declared_tensor.dims, sizes))
                raise ValueError(f"{name}: {tensor.name} is not {wanted}, which the model and the shape require")
            ranges = [resolve(tensor.shape, *at) for at in ends]
            if ranges != [tensor.smallest, tensor.largest]:
                raise ValueError(f"{name}: {tensor.name} does not have the range {ranges[0]} to {ranges[1]}")
