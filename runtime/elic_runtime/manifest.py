"""`manifest.json`: what a bundle holds, written by the exporter, read by the codec."""

import re
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from elic_runtime.errors import BundleError

MANIFEST_NAME = "manifest.json"
TABLES_NAME = "entropy_tables.npz"

DOWNSAMPLING = 64
"""Heights and widths are multiples of this: pixels per position of z."""

LATENT_STRIDE = 16
"""Pixels per position of y."""

MAX_SLICES = 32


def _plain_name(name: str) -> str:
    if PurePath(name).name != name or not name.isprintable() or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name


FileName = Annotated[str, AfterValidator(_plain_name)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Size = Annotated[int, Field(gt=0, le=65536)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Record):
    """Height and width of x in pixels, multiples of 64."""

    height: Annotated[int, Field(gt=0, le=65536, multiple_of=DOWNSAMPLING)]
    width: Annotated[int, Field(gt=0, le=65536, multiple_of=DOWNSAMPLING)]

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class ModelInfo(_Record):
    """How the ELIC inside is wired: enough to walk its slices and passes.

    context_slices: for each slice, which decoded slices `context_{k}_anchor` reads.
    """

    variant: str
    N: Size
    M: Size
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
        return self


class CheckpointInfo(_Record):
    """The checkpoint that the bundle was exported from."""

    name: str
    sha256: Digest


class TensorInfo(_Record):
    """One input or output of a subgraph."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class FileInfo(_Record):
    """A file of the bundle and the digest of its bytes."""

    file: FileName
    sha256: Digest


class SubgraphInfo(FileInfo):
    """One exported ONNX graph.

    operators: how often each operator occurs.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]


class ConformanceInfo(FileInfo):
    """A known input, and what an exact backend makes of it.

    digests: of the outputs of each subgraph that decides symbols; see `conformance.py`.
    """

    digests: dict[str, Digest]


_OUTPUTS = {
    "g_a": frozenset({"y"}),
    "h_a": frozenset({"z"}),
    "g_a_h_a": frozenset({"y", "z"}),
    "h_s": frozenset({"latent_means", "latent_scales"}),
    "g_s": frozenset({"x_hat"}),
}


class Manifest(_Record):
    """A bundle's table of contents.

    form: how shapes are fixed. rewrites: those that the exporter applied, by name.
    precision: of weights and activations.
    arithmetic: of h_s and the context subgraphs, on which symbols depend. `exact` files
    decode everywhere, `float` ones where the same backend, thread count and processor run.
    calibration, conformance: of exact arithmetic, else absent.
    fingerprint: bundles that have the same one code alike.
    """

    format_version: Literal[2]
    producer: str
    model: ModelInfo
    checkpoint: CheckpointInfo
    form: Literal["static"]
    shape: Shape
    opset: int
    rewrites: tuple[str, ...]
    precision: Literal["fp32"]
    arithmetic: Literal["exact", "float"]
    subgraphs: dict[str, SubgraphInfo]
    entropy_tables: FileInfo
    calibration: FileInfo | None = None
    conformance: ConformanceInfo | None = None
    fingerprint: Digest

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        if (self.arithmetic == "exact") != (self.conformance is not None):
            raise ValueError("conformance digests are what a bundle of exact arithmetic has, and no other")
        for name, info in self.subgraphs.items():
            absent = self._outputs(name) - {tensor.name for tensor in info.outputs}
            if absent:
                raise ValueError(f"{name}: gives no {', '.join(sorted(absent))}")
            shapes = self._shapes(name)
            for tensor in (*info.inputs, *info.outputs):
                if tensor.shape != shapes.get(tensor.name, tensor.shape):
                    raise ValueError(
                        f"{name}: {tensor.name} is not {list(shapes[tensor.name])}, as model and shape want"
                    )
        return self

    @staticmethod
    def _outputs(subgraph: str) -> frozenset[str]:
        """What a codec takes from a subgraph that it knows."""
        if subgraph.startswith("context_"):
            return frozenset({"means", "scales"} | ({"support"} if subgraph.endswith("_anchor") else set()))
        return _OUTPUTS.get(subgraph, frozenset())

    def _shapes(self, subgraph: str) -> dict[str, tuple[int, ...]]:
        """What tensors of a subgraph must be, by name, as far as model and shape say."""
        model, height, width = self.model, self.shape.height, self.shape.width
        h, w = height // LATENT_STRIDE, width // LATENT_STRIDE
        x, y = (1, 3, height, width), (1, model.M, h, w)
        z = (1, model.N, height // DOWNSAMPLING, width // DOWNSAMPLING)
        shapes: dict[str, tuple[int, ...]] = {"x": x, "x_hat": x, "z": z, "z_hat": z}
        shapes |= dict.fromkeys(("y", "y_hat", "latent_means", "latent_scales"), y)
        shapes |= {f"y_hat_{i}": (1, channels, h, w) for i, channels in enumerate(model.groups)}
        found = re.match(r"context_(\d+)_", subgraph)
        if found and int(found[1]) < len(model.groups):
            packed = (1, model.groups[int(found[1])], h, w // 2)
            shapes |= dict.fromkeys(("means", "scales", "y_hat_anchor"), packed)
        return shapes


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest. Raises BundleError if there is none, or it is not valid."""
    path = folder / MANIFEST_NAME
    try:
        text = path.read_bytes()
    except PermissionError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except OSError:
        raise BundleError(
            f"{folder}: no bundle here ({MANIFEST_NAME} not found): export one with elic-export"
        ) from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{path}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, as one line: where it is, and what."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"
