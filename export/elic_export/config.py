"""What to export, as data: a YAML file of `deploy_configs/` -> `ExportConfig`."""

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
"""Of a checkout; an installed wheel has the default configs, thresholds and templates of it."""

MAX_EXPORT_PIXELS = 1 << 24
"""Tracing holds features of 192 channels at a quarter of the image: 13 GB at this size."""

OPSETS = (11, 20)
"""First and last opset that the exporter writes."""


Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]

TensorName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_.]*$")]
"""What every compiler takes as a name."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_S = TypeVar("_S", bound=_Section)


def _known_rewrite(name: str) -> str:
    if name not in REWRITES:
        raise ValueError(f"{name!r} is no rewrite: there are {', '.join(REWRITES)}")
    return name


RewriteName = Annotated[str, AfterValidator(_known_rewrite)]

Form = Literal["static", "dynamic", "no-entropy"]


class ExportConfig(_Section):
    """One export.

    form: `static` and `dynamic` split the codec into subgraphs, for one shape or a range of
        them; `no-entropy` is one end-to-end graph, for either.
    shape: of x, in pixels, multiples of 64: one, or `min` and `max`.
    decoder_shape: of the subgraphs that a decoder runs too; like `shape` if left out.
    batch: how many images at once: a number, or `min` and `max`.
    opset: of the ONNX graphs, 11 to 20.
    precision: of weights and activations: fp32; fp16; mixed, fp16 except where symbols are decided.
    tensors: of the graphs' inputs and outputs, fp32 in any precision unless fp16 is asked for.
    arithmetic: of h_s and the context subgraphs: `exact` for files that decode everywhere,
        `float` for the checkpoint's own numbers.
    likelihoods: whether a no-entropy graph gives them besides x_hat.
    rewrites: names of `passes/rewrites`, applied in order.
    split_g_s_after: the node whose output the rewrite `split_g_s` hands from g_s_0 to g_s_1.
    external_data: weights of each graph in a file of their own.
    rename: inputs and outputs that are to have other names in the graphs.
    allowed_operators: those that the target's compiler takes; any if left out.
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
        # Checked in the order of the fields: the first problem is the one that is shown.
        for extent in (self.shape, self.decoder):
            # Traced at the smallest, which must be held; the largest is the device's affair.
            if max(extent.max.height * extent.max.width, extent.min.pixels * self.batch.max) > MAX_EXPORT_PIXELS:
                raise ValueError(
                    f"shape {extent.max}, batch {self.batch}: more than {MAX_EXPORT_PIXELS} pixels, "
                    "which no export here holds"
                )
        if self.form == "static" and not (self.shape.fixed and self.decoder.fixed):
            raise ValueError("shape: the static form has one; the dynamic form takes a range")
        if self.form == "dynamic" and self.shape.fixed:
            raise ValueError("shape: the dynamic form has a range, min and max; the static form has one shape")
        if self.decoder_shape is not None and self.form != "dynamic":
            raise ValueError("decoder_shape: only the dynamic form has one")
        if not _covers(self.decoder, self.shape):
            raise ValueError(f"decoder_shape {self.decoder} does not hold {self.shape}, which the encoder writes")
        if self.precision == "fp16" and self.arithmetic == "exact":
            raise ValueError("precision: fp16 cannot be exact; choose mixed, or arithmetic: float")
        if self.tensors == "fp16" and self.precision == "fp32":
            raise ValueError("tensors: fp16 inputs and outputs are of fp16 or mixed precision")
        if len(set(self.rename.values())) < len(self.rename):
            raise ValueError("rename: two tensors get one name")
        if not self.likelihoods and self.form != "no-entropy":
            raise ValueError("likelihoods: only the no-entropy form has any")
        if self.form == "no-entropy" and added_subgraphs(self.rewrites):
            ignored = sorted(name for name in self.rewrites if REWRITES[name].adds)
            raise ValueError(f"rewrites: {', '.join(ignored)}: the no-entropy form is one graph")
        return self

    @model_validator(mode="after")
    def _check_options(self) -> "ExportConfig":
        for rewrite in REWRITES.values():
            unread = [option for option in rewrite.options if option in self.model_fields_set]
            if unread and rewrite.name not in self.rewrites:
                raise ValueError(f"{unread[0]}: only the rewrite {rewrite.name} reads it: add that to rewrites")
        return self

    def options_of(self, rewrite: Rewrite) -> dict[str, str]:
        """What the config says for a rewrite, by the names of its options."""
        return {name: getattr(self, name) for name in rewrite.options}

    @property
    def decoder(self) -> Extent:
        """The shapes of x for which h_s, the context subgraphs and g_s are."""
        return self.decoder_shape or self.shape


def _covers(outer: Extent, inner: Extent) -> bool:
    return outer.holds(inner.min.height, inner.min.width) and outer.holds(inner.max.height, inner.max.width)


class GraphLimits(_Section):
    """A limit for subgraphs in fp32, and one for those in fp16: a mixed bundle has both."""

    fp32: Limit
    fp16: Limit

    def of(self, precision: GraphPrecision) -> float:
        """The limit of one precision."""
        return self.fp32 if precision == "fp32" else self.fp16


def _of_either(value: object) -> object:
    """One number stands for both precisions."""
    return {"fp32": value, "fp16": value} if isinstance(value, int | float) else value


class Thresholds(_Section):
    """What parity accepts, of one precision and arithmetic. Each value is the largest that passes.

    relative_error: max |graph - PyTorch| over the range of PyTorch's output, by the precision that the graph
        itself has: `fp32`, also of a mixed bundle's subgraphs that decide symbols, and `fp16`; or a number for both.
    index_fraction, symbol_fraction: share of scale indexes and symbols that differ.
    size_difference: how much larger the streams may be than PyTorch's, relative.
    rate_cost, rate_cost_total: how much larger a file may be than one that the checkpoint's
        own means and scales give by the same thresholds: any image, and all together.
    scatter_bytes: for files smaller than this, rate_cost, rate_cost_total, half_rate_cost,
        half_psnr_lost_db and psnr_difference_db are for a file of this size, and inversely larger for a smaller one: a
        symbol that rounds the other way counts for more there.
    stream_end_bytes, coding_overhead: how much larger a stream may be than its ideal
        code length: by what its end costs, and by a share of the length.
    bits_difference, correlation_lost: of a no-entropy graph's likelihoods, relative: all bits, and
        symbol by symbol, 1 less the correlation. bits_scatter_bytes: for images that take fewer
        bytes, these and psnr_difference_db are inversely larger.
    psnr_difference_db: of the decoded picture; a PSNR beyond that of rounding to 8 bits, 58.9 dB, counts as that.
    x_hat_steps: max difference of x_hat from the same y_hat, in steps of 1/255.
    half_rate_cost, half_psnr_lost_db: how much larger a file may be, and how much worse its
        picture, where activations are rounded to fp16 too.
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
    """A file or folder of the checkout's `deploy_configs/`. Raises ConfigError where there is no checkout."""
    path = DEPLOY_CONFIGS / name
    if not path.exists():
        raise ConfigError(f"no deploy_configs/{name} here (only a checkout of the project has it): name one")
    return path


def read_config(path: Path, form: Form | None = None) -> ExportConfig:
    """Read and check an export config.

    form: the one that it must be of; None takes any. Raises ConfigError, with the line of the offending key.
    """
    text = _read(path)
    config = _validate(ExportConfig, path, text, yaml.compose(text))
    if form is not None and config.form != form:
        raise ConfigError(f"{path}: this config is for the {config.form} form, not {form}")
    return config


def with_shape(config: ExportConfig, height: int, width: int) -> ExportConfig:
    """The same export for one other shape. Raises ConfigError unless both are multiples of 64."""
    try:
        return ExportConfig.model_validate(
            config.model_dump(exclude_unset=True) | {"shape": {"height": height, "width": width}}
        )
    except ValidationError as error:
        raise ConfigError(f"--shape {height}x{width}: {_where(error, None)[0]}: {error.errors()[0]['msg']}") from None


def bundle_name(config: Path, written: Extent, chosen: Extent, checkpoint: Path | None, key: str | None) -> str:
    """What a bundle's folder is called if nobody says otherwise: what tells it from other exports is in it.

    config: its name begins the folder's. written: the shape in that file. chosen: the shape that is exported, which
    takes the place of the written one in the name, or is put behind it.
    checkpoint, key: another checkpoint than the embedded one, and which of its networks; their names come last.
    """
    name = config.stem
    if chosen != written:
        name, found = re.subn(rf"(?<!\d){re.escape(str(written))}(?!\d)", str(chosen), name)
        name = name if found else f"{name}-{chosen}"
    if checkpoint is not None:
        name += "-" + re.sub(r"(\.pth\.tar|\.pth|\.pt|\.safetensors)$", "", checkpoint.name)
    return name if key is None else f"{name}-{re.sub(r'[^A-Za-z0-9_.-]', '_', key)}"


def read_thresholds(path: Path, precision: str, arithmetic: str) -> Thresholds:
    """Read the thresholds of one precision and context arithmetic. Raises ConfigError."""
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
        # PyYAML's own failures on scalars that only look like a date, a number or a flag.
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return text


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """PyYAML would take the last one."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{path}:{key.start_mark.line + 1}: a key is no plain word")
            if key.value in seen:
                raise ConfigError(f"{path}:{key.start_mark.line + 1}: {key.value}: stands here twice")
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
    """The first problem's key as the file has it, and its line: the deepest part of it that is in the file."""
    loc = error.errors()[0]["loc"]
    line = node.start_mark.line if node else 0
    known = []
    for i, part in enumerate(loc):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(key, value) for key, value in entries if key.value == part]
        if found:
            line, node = found[0][0].start_mark.line, found[0][1]
        # One shape stands for min and max: these are in the problem's place, not in the file.
        if found or i == len(loc) - 1:
            known.append(str(part))
    return ".".join(known) or "the file", line + 1
