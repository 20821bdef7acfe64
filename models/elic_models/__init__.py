"""ELIC in PyTorch: the network, its variants and the loading of checkpoints."""

from elic_models.checkpoint import (
    Checkpoint,
    CheckpointError,
    default_checkpoint,
    load_checkpoint,
)
from elic_models.elic import ELIC
from elic_models.spec import ModelSpec

__all__ = ["ELIC", "Checkpoint", "CheckpointError", "ModelSpec", "default_checkpoint", "load_checkpoint"]
