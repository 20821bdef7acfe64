"""ELIC in PyTorch: the network, its variants and the loading of checkpoints.

PyTorch is imported with the first name that needs it: it takes seconds.
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

_OF_PYTORCH = {
    "ELIC": "elic",
    "Checkpoint": "checkpoints.loading",
    "convert_checkpoint": "checkpoints.loading",
    "load_checkpoint": "checkpoints.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _OF_PYTORCH:
        raise AttributeError(f"elic_models has no {name}")
    return getattr(import_module(f"elic_models.{_OF_PYTORCH[name]}"), name)
