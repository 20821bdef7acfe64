"""Export configs: what to export, read from YAML files such as those of `deploy_configs/`."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from elic_runtime.entries import Precision
from elic_runtime.errors import ElicError
from elic_runtime.shapes import DOWNSAMPLING, AnyBatch, AnyExtent, Batch, Extent, Shape
from elic_runtime.steps import nearest_step
from elic_runtime.subgraphs import Subgraph, on_cpu
from pydantic import AfterValidator, Field, ValidationError, model_validator

from elic_export.errors import ConfigError
from elic_export.passes.rewrites import REWRITES, Rewrite, added_subgraphs
from elic_export.yaml_file import Section, first_problem, read_text, validate

MAX_EXPORT_PIXELS = 1 << 24
"""Largest image, or batch of images, of an export. Tracing holds features of N channels: 13 GB at this size."""

CPU_SIZE = 1024
"""Height and width, in pixels, of the largest windows of subgraphs on the CPU, where a config does not state them."""

OPSETS = (11, 20)
"""First and last ONNX opset that an export may have."""

INT8_OPSET = 13
"""First opset whose DequantizeLinear has an axis."""

TensorName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_.]*$")]
"""A name that every compiler accepts."""


def _known_rewrite(name: str) -> str:
    if name not in REWRITES:
        raise ValueError(f"{name!r} is not a rewrite; the rewrites are {', '.join(REWRITES)}")
    return name


def _file_step(step: float) -> float:
    try:
        return nearest_step(step)
    except ElicError as error:
        raise ValueError(str(error)) from None


RewriteName = Annotated[str, AfterValidator(_known_rewrite)]

Form = Literal["static", "dynamic", "no-entropy"]


class ExportConfig(Section):
    """What to export; docs/export.md has examples.

    Parameters
    ----------
    form : {"static", "dynamic", "no-entropy"}
        `static` splits the codec into subgraphs for one image size, `dynamic` into subgraphs for a range of sizes.
        `no-entropy` is one end-to-end graph, for one size or a range.
    shape : Extent
        Height and width of the image x in pixels, multiples of 64: one size, or `min` and `max`.
    decoder_shape : Extent, optional
        The same for the subgraphs that a decoder runs. The default is `shape`.
    cpu_shape : Extent, optional
        The same for the subgraphs that run on the CPU wherever the others run: h_s, the context subgraphs and, beside
        `g_a_h_a`, h_a. The default of a static form in exact arithmetic is a range from 64x64 to 1024x1024 or to
        `shape`, so that images of all sizes can be coded; otherwise it is what the others have.
    batch : Batch
        Number of images that a graph takes: one number, or `min` and `max`.
    opset : int
        ONNX opset of the graphs, 11 to 20.
    precision : {"fp32", "mixed", "fp16", "int8"}
        Precision of weights and activations. `mixed` is fp32 in subgraphs that decide symbols, and fp16 elsewhere.
        `int8` has QuantizeLinear and DequantizeLinear around those layers of g_a and g_s that a search chooses.
    tensors : {"fp32", "fp16"}
        Precision of the inputs and outputs of subgraphs in fp16.
    arithmetic : {"exact", "float"}
        Arithmetic of h_s and the context subgraphs: `exact` for files that decode on every machine, `float` for the
        checkpoint's own numbers.
    step : float
        How coarsely a no-entropy graph rounds, from 0.5 to 4 in units of 1/128; 1 is the checkpoint's own rate. Codecs
        take it for each file.
    likelihoods : bool
        Whether a no-entropy graph has the outputs `y_likelihoods` and `z_likelihoods`.
    rewrites : tuple of str
        Names of rewrites, applied in order; see `passes/rewrites`.
    split_g_s_after : str
        Name of the node of g_s after which the rewrite `split_g_s` cuts it.
    external_data : bool
        Whether the weights of each graph are stored in a file beside it.
    rename : dict of str to str
        New names of inputs and outputs, by their own names.
    allowed_operators : frozenset of str, optional
        The operators that the target's compiler supports. The default is to allow all that an export can contain.

    Examples
    --------
    >>> shape = {"height": 512, "width": 768}
    >>> config = ExportConfig(form="static", shape=shape, rewrites=("merge_g_a_h_a",))
    >>> config.arithmetic, config.opset
    ('exact', 17)

    """

    form: Form
    shape: AnyExtent
    decoder_shape: AnyExtent | None = None
    cpu_shape: AnyExtent | None = None
    batch: AnyBatch = Batch()
    opset: Annotated[int, Field(strict=True, ge=OPSETS[0], le=OPSETS[1])] = 17
    precision: Precision = "fp32"
    tensors: Literal["fp32", "fp16"] = "fp32"
    arithmetic: Literal["exact", "float"] = "exact"
    step: Annotated[float, AfterValidator(_file_step)] = 1.0
    likelihoods: bool = True
    rewrites: tuple[RewriteName, ...] = ()
    split_g_s_after: str = "/9/Add"
    external_data: bool = False
    rename: dict[TensorName, TensorName] = Field(default_factory=dict)
    allowed_operators: frozenset[str] | None = None

    @model_validator(mode="after")
    def _check(self) -> "ExportConfig":
        # In the order of the fields, since only the first problem is reported.
        for extent in (self.shape, self.decoder, *filter(None, [self.cpu])):
            # Tracing needs memory for the smallest shape; whether the largest one fits is up to the device.
            if max(extent.max.height * extent.max.width, extent.min.pixels * self.batch.max) > MAX_EXPORT_PIXELS:
                raise ValueError(
                    f"shape {extent.max}, batch {self.batch}: more than {MAX_EXPORT_PIXELS} pixels, "
                    "the limit of an export"
                )
        if self.form == "static" and not (self.shape.fixed and self.decoder.fixed):
            raise ValueError("shape: the static form has one image size; use the dynamic form for a range")
        if self.form == "dynamic" and self.shape.fixed:
            raise ValueError("shape: the dynamic form has a range, min and max; use the static form for one image size")
        if self.decoder_shape is not None and self.form != "dynamic":
            raise ValueError("decoder_shape: only the dynamic form has one")
        if not _covers(self.decoder, self.shape):
            raise ValueError(f"decoder_shape {self.decoder} does not include {self.shape}, the shape of the encoder")
        if self.precision == "fp16" and self.arithmetic == "exact":
            raise ValueError("precision: fp16 cannot be exact; use precision: mixed, or arithmetic: float")
        if self.tensors == "fp16" and self.precision not in ("fp16", "mixed"):
            raise ValueError("tensors: fp16 inputs and outputs need precision: fp16 or mixed")
        if self.precision == "int8" and self.opset < INT8_OPSET:
            raise ValueError(f"precision: int8 needs opset {INT8_OPSET} or later, for weights with a scale per channel")
        if len(set(self.rename.values())) < len(self.rename):
            raise ValueError("rename: two tensors have the same new name")
        if not self.likelihoods and self.form != "no-entropy":
            raise ValueError("likelihoods: only the no-entropy form has likelihoods")
        if self.form == "no-entropy" and added_subgraphs(self.rewrites):
            ignored = sorted(name for name in self.rewrites if REWRITES[name].adds)
            raise ValueError(f"rewrites: {', '.join(ignored)}: not for the no-entropy form, which is one graph")
        return self

    @model_validator(mode="after")
    def _check_cpu_shape(self) -> "ExportConfig":
        if self.cpu_shape is None:
            return self
        if self.form == "no-entropy":
            raise ValueError("cpu_shape: not for the no-entropy form, which is one graph")
        if not (self.cpu_shape.min <= self.shape.min and self.cpu_shape.min <= self.decoder.min):
            raise ValueError(f"cpu_shape {self.cpu_shape} does not include the smallest image, {self.decoder.min}")
        return self

    @model_validator(mode="after")
    def _check_step(self) -> "ExportConfig":
        if self.step != 1 and self.form != "no-entropy":
            raise ValueError("step: only the no-entropy form has one; codecs take it for each file")
        return self

    @model_validator(mode="after")
    def _check_options(self) -> "ExportConfig":
        for rewrite in REWRITES.values():
            unread = [option for option in rewrite.options if option in self.model_fields_set]
            if unread and rewrite.name not in self.rewrites:
                raise ValueError(f"{unread[0]}: only the rewrite {rewrite.name} reads it; add that to rewrites")
        return self

    def options_of(self, rewrite: Rewrite) -> dict[str, str]:
        """Return the values of a rewrite's options, by name.

        Parameters
        ----------
        rewrite : Rewrite
            The rewrite that reads them.

        """
        return {name: getattr(self, name) for name in rewrite.options}

    @property
    def decoder(self) -> Extent:
        """Sizes of x that h_s, the context subgraphs and g_s are exported for."""
        return self.decoder_shape or self.shape

    @property
    def cpu(self) -> Extent | None:
        """Sizes of x that the subgraphs on the CPU are exported for, or None if they take what the others take."""
        if self.cpu_shape is not None or self.form != "static" or self.arithmetic != "exact":
            return self.cpu_shape
        shape = self.shape.max
        return Extent(
            min=Shape(height=DOWNSAMPLING, width=DOWNSAMPLING),
            max=Shape(height=max(CPU_SIZE, shape.height), width=max(CPU_SIZE, shape.width)),
        )

    def extent(self, subgraph: Subgraph) -> Extent:
        """Return the sizes of x that a subgraph is exported for.

        Parameters
        ----------
        subgraph : Subgraph
            Any that the config exports.

        """
        merged = "g_a_h_a" in added_subgraphs(self.rewrites)
        if self.cpu is not None and on_cpu(subgraph.name, merged=merged):
            return self.cpu
        return self.shape if subgraph.encoder_only else self.decoder


def _covers(outer: Extent, inner: Extent) -> bool:
    return outer.holds(inner.min.height, inner.min.width) and outer.holds(inner.max.height, inner.max.width)


def read_config(path: str | os.PathLike[str], form: Form | None = None) -> ExportConfig:
    """Read and check an export config.

    Parameters
    ----------
    path : str or PathLike
        The YAML file.
    form : {"static", "dynamic", "no-entropy"}, optional
        The form that it must have. The default is to accept any.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not valid. The message names the line and the key.

    Examples
    --------
    >>> read_config(folder / "static.yaml").form
    'static'

    """
    path = Path(path)
    text = read_text(path)
    config = validate(ExportConfig, path, text, yaml.compose(text))
    if form is not None and config.form != form:
        raise ConfigError(f"{path}: this config is for the {config.form} form, not {form}")
    return config


def with_shape(config: ExportConfig, height: int, width: int) -> ExportConfig:
    """Return the same config for one other image size.

    Parameters
    ----------
    config : ExportConfig
        The config to change. It stays as it is.
    height, width : int
        Size of the image in pixels.

    Raises
    ------
    ConfigError
        If the size is not a multiple of 64, or if the rest of the config does not allow it.

    """
    try:
        return ExportConfig.model_validate(
            config.model_dump(exclude_unset=True) | {"shape": {"height": height, "width": width}}
        )
    except ValidationError as error:
        raise ConfigError(
            f"--shape {height}x{width}: {first_problem(error, None)[0]}: {error.errors()[0]['msg']}"
        ) from None


def bundle_name(config: Path, written: Extent, chosen: Extent, checkpoint: Path | None, key: str | None) -> str:
    """Return the default name of a bundle's folder, which differs for exports that differ.

    Parameters
    ----------
    config : Path
        The config's file. The name starts with that of the file.
    written : Extent
        The sizes that the file contains.
    chosen : Extent
        The sizes that are exported. Where they differ, they replace the written ones in the name, or follow it.
    checkpoint : Path, optional
        The checkpoint's file, if it is not the embedded one.
    key : str, optional
        Which network of the checkpoint is read.

    """
    name = config.stem
    if chosen != written:
        name, found = re.subn(rf"(?<!\d){re.escape(str(written))}(?!\d)", str(chosen), name)
        name = name if found else f"{name}-{chosen}"
    if checkpoint is not None:
        name += "-" + re.sub(r"(\.pth\.tar|\.pth|\.pt|\.safetensors)$", "", checkpoint.name)
    return name if key is None else f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', key)}"
