"""ELIC in PyTorch: the network, its variants and the loading of checkpoints."""

from elic_models.checkpoint import (
    Checkpoint,
    convert_checkpoint,
    default_checkpoint,
    load_checkpoint,
)
from elic_models.elic import ELIC
from elic_models.reading import CheckpointError
from elic_models.spec import VARIANTS, ModelSpec

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
