"""What a bundle holds, as the exporter says it and the codec reads it: `manifest_file.py` stores it."""

from functools import cached_property
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import MAX_PIXELS, Batch, Dim, Extent, Record, fix, fixed_sizes, is_symbol, resolve
from elic_runtime.subgraphs import Subgraph, decides_symbols, subgraphs

FORMAT_VERSION = 4
"""Of the bundle: what a folder holds, and how its manifest says so. No program reads another version than its own."""

TABLES_NAME = "entropy_tables.npz"
CALIBRATION_NAME = "calibration.npz"
CONFORMANCE_NAME = "conformance.npz"
TARGETS_NAME = "targets"
"""Folder of the compilers' inputs."""

REPORT_NAME = "parity.json"
HTML_NAME = "parity.html"
"""The parity report, for programs and for people; the manifest does not list them."""


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
"""With slashes, from the bundle's folder, and never out of it."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

GraphPrecision = Literal["fp32", "fp16"]
"""What a subgraph's weights and activations are in."""

Precision = Literal["fp32", "fp16", "mixed"]
"""Of a bundle; `mixed` is fp16, and fp32 where symbols are decided."""


def graph_precision(precision: Precision, subgraph: str) -> GraphPrecision:
    """What one subgraph is in, in a bundle of this precision."""
    if precision == "mixed":
        return "fp32" if decides_symbols(subgraph) else "fp16"
    return precision


class CheckpointInfo(Record):
    """The checkpoint that the bundle was exported from."""

    name: str
    sha256: Digest


class TensorInfo(Record):
    """One input or output of a subgraph.

    name: in the graph. renamed: what it is called everywhere else, if the export gave it another name.
    shape: numbers, and symbols of `shapes.py` where a dimension is open.
    min_shape, max_shape: the range, where there is one.
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
            raise ValueError(f"{self.name}: a range is what a shape with symbols has, and no other")
        return self

    @property
    def role(self) -> str:
        """The name that DESIGN.md gives it: `x`, `y_hat`, ..."""
        return self.renamed or self.name

    @property
    def smallest(self) -> tuple[int, ...]:
        """The smallest shape that it may have."""
        return self.min_shape or tuple(dim for dim in self.shape if isinstance(dim, int))

    @property
    def largest(self) -> tuple[int, ...]:
        """The largest shape that it may have."""
        return self.max_shape or tuple(dim for dim in self.shape if isinstance(dim, int))


class FileInfo(Record):
    """A file of the bundle and the digest of its bytes."""

    file: FileName
    sha256: Digest


class TargetFile(Record):
    """A compiler's input, in a folder of the bundle, and the digest of its bytes."""

    file: InnerPath
    sha256: Digest


class SubgraphInfo(FileInfo):
    """One exported ONNX graph.

    operators: how often each operator occurs. external_data: the file of its weights, if they are not in it.
    cut_after: the node of g_s whose output this half of it gives or takes.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    external_data: FileInfo | None = None
    cut_after: Annotated[str, Field(pattern=r"^/\d{1,2}/")] | None = None


class ConformanceInfo(FileInfo):
    """A known input, and what an exact backend makes of it.

    digests: of the outputs of each subgraph that decides symbols; see `conformance.py`.
    """

    digests: dict[str, Digest]


class Manifest(Record):
    """A bundle's table of contents.

    form: `static` and `dynamic` for a codec, `no-entropy` for one end-to-end graph.
    encoder, decoder: the shapes of x that g_a and h_a take, and those that the others take.
    batch: how many images at once. rewrites: those that the exporter applied, by name.
    precision: of weights and activations.
    arithmetic: of h_s and the context subgraphs, on which symbols depend. `exact` files
    decode everywhere, `float` ones where the same backend, thread count and processor run.
    calibration: of exact arithmetic; conformance: of subgraphs in it; else absent.
    targets: compilers' inputs. sources: digest of all that the export was made from.
    fingerprint: bundles that have the same one code alike.
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
            raise ValueError("conformance digests are what a codec's bundle of exact arithmetic has, and no other")
        for extent in (self.encoder, self.decoder):
            if extent.min.pixels * self.batch.min > MAX_PIXELS:
                raise ValueError(f"images of {extent.min} at least, {self.batch.min} at once, are beyond the limit")
        ends = (self.encoder.min, self.encoder.max)
        if not all(self.decoder.holds(shape.height, shape.width) for shape in ends):
            raise ValueError(f"the encoder's shapes {self.encoder} are not within the decoder's {self.decoder}")
        for name, info in self.subgraphs.items():
            if name not in self.table:
                raise ValueError(f"{name!r} is no subgraph of this model")
            self._check_roles(self.table[name], info)
            self._check_shapes(self.table[name], info)
        return self

    def _check_roles(self, declared: Subgraph, info: SubgraphInfo) -> None:
        """A codec gives each subgraph what it takes, and takes what it gives, by name."""
        name, taken, given = declared.name, [tensor.role for tensor in info.inputs], {t.role for t in info.outputs}
        absent = {role for role, tensor in declared.outputs.items() if not tensor.optional} - given
        if absent:
            raise ValueError(f"{name}: gives no {', '.join(sorted(absent))}")
        if given - declared.outputs.keys():
            raise ValueError(f"{name}: gives {', '.join(sorted(given - declared.outputs.keys()))}, which nothing takes")
        if set(taken) != declared.inputs.keys() or len(taken) != len(declared.inputs):
            raise ValueError(f"{name}: does not take {', '.join(sorted(declared.inputs))}")

    @cached_property
    def table(self) -> dict[str, Subgraph]:
        """The declarations of all subgraphs that a bundle of this model may hold."""
        return subgraphs(self.model)

    def extent(self, subgraph: str) -> Extent:
        """The shapes of x that a subgraph takes."""
        return self.encoder if self.table[subgraph].encoder_only else self.decoder

    def _check_shapes(self, declared: Subgraph, info: SubgraphInfo) -> None:
        """Every tensor has the shape that model and extent say, and its range."""
        name, extent = declared.name, self.extent(declared.name)
        tensors = declared.inputs | declared.outputs
        sizes = fixed_sizes(extent, self.batch)
        ends = ((self.batch.min, extent.min), (self.batch.max, extent.max))
        for tensor in (*info.inputs, *info.outputs):
            declared_tensor = tensors[tensor.role]
            if declared_tensor.known and tensor.shape != fix(declared_tensor.dims, sizes):
                wanted = list(fix(declared_tensor.dims, sizes))
                raise ValueError(f"{name}: {tensor.name} is not {wanted}, as model and shape want")
            ranges = [resolve(tensor.shape, *at) for at in ends]
            if ranges != [tensor.smallest, tensor.largest]:
                raise ValueError(f"{name}: {tensor.name} has not the range {ranges[0]} to {ranges[1]}")
