"""ELIC in PyTorch: the network, its variants and the loading of checkpoints.

Importing this package does not import PyTorch, which takes seconds. The first name that needs it does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elic_models.checkpoints.default import default_checkpoint
from elic_models.errors import CheckpointError
from elic_models.spec import VARIANTS, ModelSpec

if TYPE_CHECKING:
    from elic_models.checkpoints.loading import Checkpoint, convert_checkpoint, load_checkpoint
    from elic_models.elic import ELIC

__all__ = [
    "ELIC",
    "VARIANTS",
    "Checkpoint",
    "CheckpointError",
    "ModelSpec",
    "convert_checkpoint",
    "default_checkpoint",
    "load_checkpoint",
]

_LAZY = {
    "ELIC": "elic",
    "Checkpoint": "checkpoints.loading",
    "convert_checkpoint": "checkpoints.loading",
    "load_checkpoint": "checkpoints.loading",
}
"""The modules of the names that need PyTorch."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'elic_models' has no attribute {name!r}")
    return getattr(import_module(f"elic_models.{_LAZY[name]}"), name)
