"""The manifest: what a bundle contains. The exporter writes it and the codec reads it, by `manifest_file.py`."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from elic_runtime.entries import (
    CheckpointInfo,
    CompiledTarget,
    ConformanceInfo,
    Digest,
    FileInfo,
    FileName,
    Int8Info,
    Interface,
    Precision,
    Reach,
    SubgraphInfo,
    TargetFile,
    VerifyInfo,
)
from elic_runtime.model_info import ModelInfo
from elic_runtime.shapes import MAX_PIXELS, Batch, Extent, Record, fix, fixed_sizes, resolve
from elic_runtime.steps import MAX_STEP, MIN_STEP
from elic_runtime.subgraphs import Subgraph, on_cpu, subgraphs

FORMAT_VERSION = 5
"""Version of the bundle format: the files of a bundle, and the manifest."""

OLDEST_VERSION = 4
"""The oldest version that is read. It has neither `verify` nor `compiled`."""

TABLES_NAME = "entropy_tables.npz"
CALIBRATION_NAME = "calibration.npz"
CONFORMANCE_NAME = "conformance.npz"
VERIFY_NAME = "verify.npz"
TARGETS_NAME = "targets"
"""Folder of the compilers' input files."""

REPORT_NAME = "parity.json"
HTML_NAME = "parity.html"
"""The parity report as JSON and as HTML. The manifest does not list these files."""


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
    cpu : Extent, optional
        The shapes that the subgraphs take which run on the CPU (see `on_cpu`), if these are others.
    batch : Batch
        How many images the subgraphs take at once.
    opset : int
        The ONNX opset.
    rewrites : tuple of str
        Names of the rewrites that the exporter applied.
    precision : {"fp32", "fp16", "mixed", "int8"}
        Precision of weights and activations.
    int8 : Int8Info, optional
        The layers in 8 bits, of a bundle in int8.
    arithmetic : {"exact", "float"}
        Arithmetic of h_s and the context subgraphs, on which symbols depend. Files of `exact` bundles decode on any
        machine, those of `float` bundles only with the same backend, thread count and processor.
    step : float
        How coarsely a no-entropy graph rounds; a codec's files have each their own.
    subgraphs : dict of str to SubgraphInfo
        The exported graphs by name.
    entropy_tables : FileInfo
        The file of the entropy tables.
    calibration : FileInfo, optional
        The calibration of exact arithmetic.
    conformance : ConformanceInfo, optional
        The known input; exact codecs have one.
    verify : VerifyInfo, optional
        What a device is verified with; codecs have it.
    targets : tuple of TargetFile
        The compilers' input files.
    compiled : dict of str to CompiledTarget
        What compilers made of the transforms, by the compiler's name.
    sources : str
        Digest of everything that the export was made from.
    fingerprint : str
        Digest of everything that gives a bit stream its meaning. Bundles with the same fingerprint can decode each
        other's files.

    """

    format_version: Annotated[int, Field(ge=OLDEST_VERSION, le=FORMAT_VERSION)] = FORMAT_VERSION
    producer: str
    model: ModelInfo
    checkpoint: CheckpointInfo
    form: Literal["static", "dynamic", "no-entropy"]
    encoder: Extent
    decoder: Extent
    cpu: Extent | None = None
    batch: Batch
    opset: int
    rewrites: tuple[str, ...]
    precision: Precision
    int8: Int8Info | None = None
    arithmetic: Literal["exact", "float"]
    step: Annotated[float, Field(ge=MIN_STEP, le=MAX_STEP)] = 1.0
    subgraphs: dict[str, SubgraphInfo]
    entropy_tables: FileInfo
    calibration: FileInfo | None = None
    conformance: ConformanceInfo | None = None
    verify: VerifyInfo | None = None
    targets: tuple[TargetFile, ...] = ()
    compiled: dict[FileName, CompiledTarget] = Field(default_factory=dict)
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
        if self.cpu is not None and not all(self.cpu.min <= extent.min for extent in (self.encoder, self.decoder)):
            raise ValueError(f"the subgraphs on the CPU take {self.cpu}, and none of the smallest images")
        for name, info in self.subgraphs.items():
            if name not in self.table:
                raise ValueError(f"{name!r} is not a subgraph of this model")
            self._check_interface(name, info)
        for target, compiled in self.compiled.items():
            for name, graph in compiled.subgraphs.items():
                if name not in self.subgraphs or self.on_cpu(name):
                    raise ValueError(f"{target}: {name!r} is not a transform of this bundle")
                self._check_interface(name, graph)
        return self

    def _check_interface(self, name: str, info: Interface) -> None:
        self._check_roles(self.table[name], info)
        self._check_shapes(self.table[name], info)

    def _check_roles(self, declared: Subgraph, info: Interface) -> None:
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
        if self.cpu is not None and self.on_cpu(subgraph):
            return self.cpu
        return self.encoder if self.table[subgraph].encoder_only else self.decoder

    def on_cpu(self, subgraph: str) -> bool:
        """Return whether a subgraph runs on the CPU wherever the transforms run."""
        return on_cpu(subgraph, merged="g_a_h_a" in self.subgraphs)

    def reach(self, subgraph: str) -> Reach | None:
        """Return how far a subgraph sees, or None if the manifest does not say so."""
        info = self.subgraphs.get(subgraph)
        return info.reach if info else None

    def _check_shapes(self, declared: Subgraph, info: Interface) -> None:
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
