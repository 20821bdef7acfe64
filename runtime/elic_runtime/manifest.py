"""What a bundle holds, as the exporter says it and the codec reads it: `manifest_file.py` stores it."""

import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from elic_runtime.shapes import (
    DOWNSAMPLING,
    LATENT_STRIDE,
    MAX_PIXELS,
    Batch,
    Dim,
    Extent,
    Record,
    Shape,
    dimensions,
    fix,
    fixed_sizes,
    is_symbol,
    resolve,
)

FORMAT_VERSION = 4
"""Of the bundle: what a folder holds, and how its manifest says so. No program reads another version than its own."""

TABLES_NAME = "entropy_tables.npz"

MAX_SLICES = 32


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
Size = Annotated[int, Field(gt=0, le=65536)]

GraphPrecision = Literal["fp32", "fp16"]
"""What a subgraph's weights and activations are in."""

Precision = Literal["fp32", "fp16", "mixed"]
"""Of a bundle; `mixed` is fp16, and fp32 where symbols are decided."""


def decides_symbols(subgraph: str) -> bool:
    """Whether encoder and decoder must get the same bits from a subgraph."""
    return subgraph == "h_s" or subgraph.startswith("context_")


def graph_precision(precision: Precision, subgraph: str) -> GraphPrecision:
    """What one subgraph is in, in a bundle of this precision."""
    if precision == "mixed":
        return "fp32" if decides_symbols(subgraph) else "fp16"
    return precision


class ModelInfo(Record):
    """How the ELIC inside is wired: enough to walk its slices and passes.

    latent_channels: of each of latent_means and latent_scales.
    context_slices: for each slice, which decoded slices `context_{k}_anchor` reads.
    """

    variant: str
    N: Size
    M: Size
    latent_channels: Size
    groups: tuple[Size, ...]
    anchor_parity: Literal[0, 1]
    context_slices: tuple[tuple[int, ...], ...]

    @model_validator(mode="after")
    def _check(self) -> "ModelInfo":
        if sum(self.groups) != self.M or len(self.groups) > MAX_SLICES:
            raise ValueError(f"groups do not make up M = {self.M}, or are more than {MAX_SLICES}")
        if len(self.context_slices) != len(self.groups):
            raise ValueError("context_slices does not list every slice")
        if any(not 0 <= i < k for k, read in enumerate(self.context_slices) for i in read):
            raise ValueError("context_slices names a slice that is not decoded yet")
        if any(len(set(read)) < len(read) for read in self.context_slices):
            raise ValueError("context_slices names a slice twice")
        return self


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


_INPUTS = {
    "g_a": frozenset({"x"}),
    "h_a": frozenset({"y"}),
    "g_a_h_a": frozenset({"x"}),
    "h_s": frozenset({"z_hat"}),
    "g_s": frozenset({"y_hat"}),
    "g_s_0": frozenset({"y_hat"}),
    "g_s_1": frozenset({"features"}),
    "no_entropy": frozenset({"input"}),
}
_OUTPUTS = {
    "g_a": frozenset({"y"}),
    "h_a": frozenset({"z"}),
    "g_a_h_a": frozenset({"y", "z"}),
    "h_s": frozenset({"latent_means", "latent_scales"}),
    "g_s": frozenset({"x_hat"}),
    "g_s_0": frozenset({"features"}),
    "g_s_1": frozenset({"x_hat"}),
    "no_entropy": frozenset({"x_hat"}),
}
_MAY_GIVE = {"no_entropy": frozenset({"y_likelihoods", "z_likelihoods"})}

ENCODER_ONLY = frozenset({"g_a", "h_a", "g_a_h_a", "no_entropy"})
"""Subgraphs of the encoder's extent; the others run in the decoder too."""


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
            self._check_roles(name, info)
            shapes, extent = self._shapes(name), self.extent(name)
            for tensor in (*info.inputs, *info.outputs):
                if tensor.shape != shapes.get(tensor.role, tensor.shape):
                    raise ValueError(
                        f"{name}: {tensor.name} is not {list(shapes[tensor.role])}, as model and shape want"
                    )
                ranges = [resolve(tensor.shape, *at) for at in self._range(extent)]
                if ranges != [tensor.smallest, tensor.largest]:
                    raise ValueError(f"{name}: {tensor.name} has not the range {ranges[0]} to {ranges[1]}")
        return self

    def _range(self, extent: Extent) -> list[tuple[int, Shape]]:
        return [(self.batch.min, extent.min), (self.batch.max, extent.max)]

    def _check_roles(self, name: str, info: SubgraphInfo) -> None:
        """A codec gives each subgraph what it takes, and takes what it gives, by name."""
        inputs, outputs = self._roles(name)
        taken = [tensor.role for tensor in info.inputs]
        given = {tensor.role for tensor in info.outputs}
        absent = outputs - given
        if absent:
            raise ValueError(f"{name}: gives no {', '.join(sorted(absent))}")
        if given - outputs - _MAY_GIVE.get(name, frozenset()):
            raise ValueError(f"{name}: gives {', '.join(sorted(given - outputs))}, which nothing takes")
        if set(taken) != inputs or len(taken) != len(inputs):
            raise ValueError(f"{name}: does not take {', '.join(sorted(inputs))}")

    def _roles(self, subgraph: str) -> tuple[frozenset[str], frozenset[str]]:
        """What a subgraph takes and gives at least."""
        found = re.fullmatch(r"context_(\d{1,2})_(anchor|nonanchor)", subgraph)
        if found and int(found[1]) < len(self.model.groups):
            if found[2] == "nonanchor":
                return frozenset({"y_hat_anchor", "support"}), frozenset({"means", "scales"})
            decoded = {f"y_hat_{i}" for i in self.model.context_slices[int(found[1])]}
            return frozenset({"latent_means", "latent_scales"} | decoded), frozenset({"means", "scales", "support"})
        if subgraph not in _INPUTS:
            raise ValueError(f"{subgraph!r} is no subgraph of this model")
        return _INPUTS[subgraph], _OUTPUTS[subgraph]

    def extent(self, subgraph: str) -> Extent:
        """The shapes of x that a subgraph takes."""
        return self.encoder if subgraph in ENCODER_ONLY else self.decoder

    def _shapes(self, subgraph: str) -> dict[str, tuple[Dim, ...]]:
        """What tensors of a subgraph must be, by role, as far as model and extent say."""
        model = self.model
        x, y, z = dimensions(3, 1), dimensions(model.M, LATENT_STRIDE), dimensions(model.N, DOWNSAMPLING)
        shapes = {"x": x, "input": x, "x_hat": x, "z": z, "z_hat": z, "z_likelihoods": z}
        shapes |= dict.fromkeys(("y", "y_hat", "y_likelihoods"), y)
        latents = dimensions(model.latent_channels, LATENT_STRIDE)
        shapes |= dict.fromkeys(("latent_means", "latent_scales"), latents)
        shapes |= {f"y_hat_{i}": dimensions(channels, LATENT_STRIDE) for i, channels in enumerate(model.groups)}
        found = re.match(r"context_(\d+)_", subgraph)
        if found and int(found[1]) < len(model.groups):
            packed = dimensions(model.groups[int(found[1])], LATENT_STRIDE, packed=True)
            shapes |= dict.fromkeys(("means", "scales", "y_hat_anchor"), packed)
        sizes = fixed_sizes(self.extent(subgraph), self.batch)
        return {role: fix(shape, sizes) for role, shape in shapes.items()}
