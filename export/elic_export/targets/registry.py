"""The registry of targets, which finds the target classes in the modules of this package.

To add a target, add its module to this package and its template beside it; see docs/architecture.md. There is no list
to extend.
"""

import pkgutil
from functools import lru_cache
from importlib import import_module
from types import ModuleType

from elic_export import targets
from elic_export.targets.target import Target


@lru_cache(maxsize=1)
def all_targets() -> tuple[Target, ...]:
    """Return one instance of every target class, sorted by the name of the tool."""
    names = [found.name for found in pkgutil.iter_modules(targets.__path__, f"{targets.__name__}.")]
    kinds = [kind for name in names for kind in _defined_in(import_module(name))]
    return tuple(kind() for kind in sorted(kinds, key=lambda kind: kind.tool))


def compilable() -> list[str]:
    """Return the names of the tools that `elic-export compile` can run."""
    return [target.tool for target in all_targets() if target.compilation is not None]


def _defined_in(module: ModuleType) -> list[type[Target]]:
    """Return the target classes that a module defines, without those that it imports."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Target) and kind.__module__ == module.__name__
        if kind is not Target
    ]
