"""All targets: the modules of this package -> one target of each class that they define.

To add a target: its module here and its template beside it. Nothing lists them.
"""

import pkgutil
from functools import lru_cache
from importlib import import_module
from types import ModuleType

from elic_export import targets
from elic_export.targets.target import Target


@lru_cache(maxsize=1)
def all_targets() -> tuple[Target, ...]:
    """One of each kind of target, in the order of their tools' names."""
    names = [found.name for found in pkgutil.iter_modules(targets.__path__, f"{targets.__name__}.")]
    kinds = [kind for name in names for kind in _defined_in(import_module(name))]
    return tuple(kind() for kind in sorted(kinds, key=lambda kind: kind.tool))


def _defined_in(module: ModuleType) -> list[type[Target]]:
    """The kinds of target that a module defines, without those that it imports."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Target) and kind.__module__ == module.__name__
        if kind is not Target
    ]
