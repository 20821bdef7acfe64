"""YAML files: the folder that holds the project's own, and reading one into a checked data class."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from elic_export.errors import ConfigError

_INSTALLED = Path(__file__).resolve().parent / "deploy_configs"

DEPLOY_CONFIGS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[2] / "deploy_configs"
"""The folder in a checkout. An installed wheel contains the default configs and the thresholds only."""


class Section(BaseModel):
    """A part of a YAML file: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=BaseModel)


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


def read_text(path: Path) -> str:
    """Read a YAML file as text. Raises ConfigError if it cannot be read, is not YAML, or repeats a key."""
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


def validate(kind: type[S], path: Path, text: str, node: yaml.Node | None, within: tuple[str, ...] = ()) -> S:
    """Check a part of a YAML file.

    Parameters
    ----------
    kind : type
        What the part must be.
    path : Path
        The file, for the error message.
    text : str
        Its content.
    node : Node, optional
        The part as PyYAML composed it, for the number of the line.
    within : tuple of str
        The keys that lead to the part.

    Raises
    ------
    ConfigError
        If the part is not valid; the message names the line and the key.

    """
    content = yaml.safe_load(text)
    for key in within:
        content = content[key]
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        where, line = first_problem(error, node)
        raise ConfigError(f"{path}:{line}: {where}: {error.errors()[0]['msg']}") from None


def first_problem(error: ValidationError, node: yaml.Node | None) -> tuple[str, int]:
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
