"""Export configs and parity thresholds: YAML files of `deploy_configs/`, read into checked data classes."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from elic_runtime.manifest import GraphPrecision, Precision
from elic_runtime.shapes import AnyBatch, AnyExtent, Batch, Extent
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from elic_export.errors import ConfigError
from elic_export.passes.rewrites import REWRITES, Rewrite, added_subgraphs

_INSTALLED = Path(__file__).resolve().parent / "deploy_configs"

DEPLOY_CONFIGS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[2] / "deploy_configs"
"""The folder in a checkout. An installed wheel contains the default configs and the thresholds only."""

MAX_EXPORT_PIXELS = 1 << 24
"""Largest image, or batch of images, of an export. Tracing holds features of N channels: 13 GB at this size."""

OPSETS = (11, 20)
"""First and last ONNX opset that an export may have."""

Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]

TensorName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_.]*$")]
"""A name that every compiler accepts."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_S = TypeVar("_S", bound=_Section)


def _known_rewrite(name: str) -> str:
    if name not in REWRITES:
        raise ValueError(f"{name!r} is not a rewrite; the rewrites are {', '.join(REWRITES)}")
    return name


RewriteName = Annotated[str, AfterValidator(_known_rewrite)]

Form = Literal["static", "dynamic", "no-entropy"]


class ExportConfig(_Section):
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
    batch : Batch
        Number of images that a graph takes: one number, or `min` and `max`.
    opset : int
        ONNX opset of the graphs, 11 to 20.
    precision : {"fp32", "mixed", "fp16"}
        Precision of weights and activations. `mixed` is fp32 in subgraphs that decide symbols, and fp16 elsewhere.
    tensors : {"fp32", "fp16"}
        Precision of the inputs and outputs of subgraphs in fp16.
    arithmetic : {"exact", "float"}
        Arithmetic of h_s and the context subgraphs: `exact` for files that decode on every machine, `float` for the
        checkpoint's own numbers.
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
    batch: AnyBatch = Batch()
    opset: Annotated[int, Field(strict=True, ge=OPSETS[0], le=OPSETS[1])] = 17
    precision: Precision = "fp32"
    tensors: Literal["fp32", "fp16"] = "fp32"
    arithmetic: Literal["exact", "float"] = "exact"
    likelihoods: bool = True
    rewrites: tuple[RewriteName, ...] = ()
    split_g_s_after: str = "/9/Add"
    external_data: bool = False
    rename: dict[TensorName, TensorName] = {}
    allowed_operators: frozenset[str] | None = None

    @model_validator(mode="after")
    def _check(self) -> "ExportConfig":
        # In the order of the fields, since only the first problem is reported.
        for extent in (self.shape, self.decoder):
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
        if self.tensors == "fp16" and self.precision == "fp32":
            raise ValueError("tensors: fp16 inputs and outputs need precision: fp16 or mixed")
        if len(set(self.rename.values())) < len(self.rename):
            raise ValueError("rename: two tensors have the same new name")
        if not self.likelihoods and self.form != "no-entropy":
            raise ValueError("likelihoods: only the no-entropy form has likelihoods")
        if self.form == "no-entropy" and added_subgraphs(self.rewrites):
            ignored = sorted(name for name in self.rewrites if REWRITES[name].adds)
            raise ValueError(f"rewrites: {', '.join(ignored)}: not for the no-entropy form, which is one graph")
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


def _covers(outer: Extent, inner: Extent) -> bool:
    return outer.holds(inner.min.height, inner.min.width) and outer.holds(inner.max.height, inner.max.width)


class GraphLimits(_Section):
    """Limits by the precision of a subgraph, since a mixed bundle has subgraphs of both precisions.

    Parameters
    ----------
    fp32, fp16 : float
        The limit of subgraphs in that precision.

    """

    fp32: Limit
    fp16: Limit

    def of(self, precision: GraphPrecision) -> float:
        """Return the limit of one precision.

        Parameters
        ----------
        precision : {"fp32", "fp16"}
            Precision of the subgraph.

        """
        return self.fp32 if precision == "fp32" else self.fp16


def _of_either(value: object) -> object:
    """Take one number as the limit of both precisions."""
    return {"fp32": value, "fp16": value} if isinstance(value, int | float) else value


class Thresholds(_Section):
    """The largest errors that parity accepts, for bundles of one precision and one arithmetic.

    Parameters
    ----------
    relative_error : GraphLimits or float
        Largest error of a subgraph's output, over the range of PyTorch's output. One number is for both precisions.
    index_fraction, symbol_fraction : float
        Share of the scale indexes, and of the symbols, that differ from PyTorch's.
    size_difference : float
        How much larger the streams of an image are than PyTorch's, as a share of these.
    rate_cost, rate_cost_total : float
        How much larger a file is than the one that the checkpoint's own means and scales would give with the same
        scale thresholds, as a share of that one: for each image, and for all images together.
    scatter_bytes : float
        Size of a file below which a single symbol weighs more. For a file of n bytes, fewer than this,
        `size_difference`, `rate_cost`, `half_rate_cost`, `half_psnr_lost_db` and `psnr_difference_db` are multiplied by
        scatter_bytes / n, and so is `rate_cost_total`, where n is the size of all files together.
    stream_end_bytes, coding_overhead : float
        How much larger a stream is than its ideal code length: the bytes that its end costs, plus a share of the
        length.
    bits_difference, correlation_lost : float
        Error of a no-entropy graph's likelihoods: the difference of the bits of an image, as a share of PyTorch's,
        and 1 minus the correlation of the bits symbol by symbol.
    bits_scatter_bytes : float
        For images of n bytes, fewer than this, `bits_difference`, `correlation_lost` and `psnr_difference_db` of a
        no-entropy graph are multiplied by bits_scatter_bytes / n.
    psnr_difference_db : float
        Difference of the decoded picture's PSNR from PyTorch's. A PSNR above that of rounding to 8 bits, 58.9 dB,
        counts as 58.9 dB.
    x_hat_steps : float
        Largest difference of x_hat from PyTorch's for the same y_hat, in steps of 1/255.
    half_rate_cost, half_psnr_lost_db : float
        How much larger a file is, as a share, and how much worse its picture is, if activations are rounded to fp16.

    Examples
    --------
    >>> thresholds = read_thresholds("thresholds.yaml", "fp32", "exact")
    >>> thresholds.x_hat_steps
    1.0

    """

    relative_error: Annotated[GraphLimits, BeforeValidator(_of_either)]
    index_fraction: Limit
    symbol_fraction: Limit
    size_difference: Limit
    rate_cost: Limit
    rate_cost_total: Limit
    scatter_bytes: Limit
    stream_end_bytes: Limit
    coding_overhead: Limit
    bits_difference: Limit
    correlation_lost: Limit
    bits_scatter_bytes: Limit = 0
    psnr_difference_db: Limit
    x_hat_steps: Limit
    half_rate_cost: Limit = 0
    half_psnr_lost_db: Limit = 0


def default_config(name: str) -> Path:
    """Return the path of a file or folder in `deploy_configs/`.

    Parameters
    ----------
    name : str
        Its name.

    Raises
    ------
    ConfigError
        If it is not there; an installed wheel contains only some of them.

    """
    path = DEPLOY_CONFIGS / name
    if not path.exists():
        raise ConfigError(
            f"deploy_configs/{name} is not installed, only a checkout of the project has it; give a path of your own"
        )
    return path


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
    text = _read(path)
    config = _validate(ExportConfig, path, text, yaml.compose(text))
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
        raise ConfigError(f"--shape {height}x{width}: {_where(error, None)[0]}: {error.errors()[0]['msg']}") from None


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


def read_thresholds(path: str | os.PathLike[str], precision: str, arithmetic: str) -> Thresholds:
    """Read the thresholds of one precision and one arithmetic.

    Parameters
    ----------
    path : str or PathLike
        The YAML file.
    precision : str
        Precision of the bundle: `fp32`, `mixed` or `fp16`.
    arithmetic : str
        Arithmetic of its context model: `exact` or `float`.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not valid, or has no such thresholds.

    Examples
    --------
    >>> read_thresholds("thresholds.yaml", "fp32", "exact").psnr_difference_db
    0.02

    """
    path = Path(path)
    text = _read(path)
    node = yaml.compose(text)
    for name in (precision, arithmetic):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in entries if key.value == name), None)
    if node is None:
        raise ConfigError(f"{path}: no thresholds for {precision} with {arithmetic} arithmetic")
    return _validate(Thresholds, path, text, node, (precision, arithmetic))


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_repeated_keys(path, yaml.compose(text))
        yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or 'damaged'}") from None
    except (ValueError, AttributeError, KeyError, RecursionError) as error:
        # PyYAML raises these for scalars that only look like a date, a number or a boolean.
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return text


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """Raise ConfigError for a key that occurs twice, of which PyYAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{path}:{key.start_mark.line + 1}: a key is not a plain word")
            if key.value in seen:
                raise ConfigError(f"{path}:{key.start_mark.line + 1}: {key.value}: the key occurs twice")
            seen.add(key.value)
            _refuse_repeated_keys(path, value)


def _validate(kind: type[_S], path: Path, text: str, node: yaml.Node | None, within: tuple[str, ...] = ()) -> _S:
    content = yaml.safe_load(text)
    for key in within:
        content = content[key]
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        where, line = _where(error, node)
        raise ConfigError(f"{path}:{line}: {where}: {error.errors()[0]['msg']}") from None


def _where(error: ValidationError, node: yaml.Node | None) -> tuple[str, int]:
    """Return the key of the first problem as it is written in the file, and the line of its deepest part there."""
    loc = error.errors()[0]["loc"]
    line = node.start_mark.line if node else 0
    known = []
    for i, part in enumerate(loc):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(key, value) for key, value in entries if key.value == part]
        if found:
            line, node = found[0][0].start_mark.line, found[0][1]
        # pydantic reports problems of a single shape under min and max, which are not in the file.
        if found or i == len(loc) - 1:
            known.append(str(part))
    return ".".join(known) or "the file", line + 1
