"""What to export, as data: a YAML file of `deploy_configs/` -> `ExportConfig`."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from elic_runtime.manifest import Shape, first_problem
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from elic_export.errors import ConfigError
from elic_export.rewrites import RewriteName

DEPLOY_CONFIGS = Path(__file__).resolve().parents[2] / "deploy_configs"
"""Of a checkout; a plain install has none, and every command takes a path instead."""

MAX_EXPORT_PIXELS = 1 << 24
"""Tracing holds features of 192 channels at a quarter of the image: 13 GB at this size."""

OPSETS = (11, 20)
"""First and last opset that the exporter writes."""


Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_S = TypeVar("_S", bound=_Section)


class ExportConfig(_Section):
    """One export.

    form: how shapes are fixed. shape: of x, in pixels, multiples of 64.
    opset: of the ONNX graphs, 11 to 20. precision: of weights and activations.
    arithmetic: of h_s and the context subgraphs: `exact` for files that decode everywhere,
        `float` for the checkpoint's own numbers.
    rewrites: exact ones of `rewrites.py`, applied in order.
    allowed_operators: those that the target's compiler takes; any if left out.
    """

    form: Literal["static"]
    shape: Shape
    opset: Annotated[int, Field(strict=True, ge=OPSETS[0], le=OPSETS[1])] = 17
    precision: Literal["fp32"] = "fp32"
    arithmetic: Literal["exact", "float"] = "exact"
    rewrites: tuple[RewriteName, ...] = ()
    allowed_operators: frozenset[str] | None = None

    @model_validator(mode="after")
    def _check(self) -> "ExportConfig":
        if self.shape.height * self.shape.width > MAX_EXPORT_PIXELS:
            raise ValueError(f"shape {self.shape} has more than {MAX_EXPORT_PIXELS} pixels, which no export here holds")
        return self


class Thresholds(_Section):
    """What parity accepts, of one precision and arithmetic. Each value is the largest that passes.

    relative_error: max |graph - PyTorch| over the range of PyTorch's output.
    index_fraction, symbol_fraction: share of scale indexes and symbols that differ.
    size_difference: how much larger the streams may be than PyTorch's, relative.
    rate_cost, rate_cost_total: how much larger a file may be than one that the checkpoint's
        own means and scales give by the same thresholds: any image, and all together.
    scatter_bytes: for files smaller than this, rate_cost, rate_cost_total and
        psnr_difference_db are for a file of this size, and inversely larger for a smaller one: a
        symbol that rounds the other way counts for more there.
    stream_end_bytes, coding_overhead: how much larger a stream may be than its ideal
        code length: by what its end costs, and by a share of the length.
    psnr_difference_db: of the decoded picture. x_hat_steps: max difference of x_hat
    from the same y_hat, in steps of 1/255.
    """

    relative_error: Limit
    index_fraction: Limit
    symbol_fraction: Limit
    size_difference: Limit
    rate_cost: Limit
    rate_cost_total: Limit
    scatter_bytes: Limit
    stream_end_bytes: Limit
    coding_overhead: Limit
    psnr_difference_db: Limit
    x_hat_steps: Limit


def default_config(name: str) -> Path:
    """A file or folder of the checkout's `deploy_configs/`. Raises ConfigError where there is no checkout."""
    path = DEPLOY_CONFIGS / name
    if not path.exists():
        raise ConfigError(f"no deploy_configs/{name} here (only a checkout of the project has it): name one")
    return path


def read_config(path: Path, form: str) -> ExportConfig:
    """Read and check an export config. Raises ConfigError, with the line of the offending key."""
    text = _read(path)
    config = _validate(ExportConfig, path, text, yaml.compose(text))
    if config.form != form:
        raise ConfigError(f"{path}: this config is for the {config.form} form, not {form}")
    return config


def with_shape(config: ExportConfig, height: int, width: int) -> ExportConfig:
    """The same export for another shape. Raises ConfigError unless both are multiples of 64."""
    try:
        return ExportConfig.model_validate(config.model_dump() | {"shape": {"height": height, "width": width}})
    except ValidationError as error:
        raise ConfigError(f"--shape {height}x{width}: {first_problem(error)}") from None


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
        raise ConfigError(f"{path}:{_line(node, error.errors()[0]['loc'])}: {first_problem(error)}") from None


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line of the deepest part of `loc` that is in the file."""
    line = node.start_mark.line if node else 0
    for part in loc:
        if not isinstance(node, yaml.MappingNode):
            break
        found = [(key, value) for key, value in node.value if key.value == part]
        if not found:
            break
        line, node = found[0][0].start_mark.line, found[0][1]
    return line + 1
