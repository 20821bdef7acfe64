"""The embedded checkpoint: where it lies."""

from pathlib import Path

from elic_models.errors import CheckpointError

DEFAULT_NAME = "elic_chandelier_lambda0150.safetensors"


def default_checkpoint() -> Path:
    """The checkpoint that a checkout of the project carries.

    Raises CheckpointError where the package was installed without one.
    """
    path = Path(__file__).resolve().parents[2] / "weights" / DEFAULT_NAME
    if not path.is_file():
        raise CheckpointError(
            "no default checkpoint here (only a checkout of the project has one): pass --checkpoint PATH"
        )
    return path
