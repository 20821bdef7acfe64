"""All targets: each module of this package that defines one."""

import pkgutil
from functools import lru_cache
from importlib import import_module

from elic_export import targets
from elic_export.targets.target import Target


@lru_cache(maxsize=1)
def all_targets() -> tuple[Target, ...]:
    """One of each kind of target, in the order of their tools' names."""
    for module in pkgutil.iter_modules(targets.__path__, f"{targets.__name__}."):
        import_module(module.name)
    return tuple(kind() for kind in sorted(Target.__subclasses__(), key=lambda kind: kind.tool))
