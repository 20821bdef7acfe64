"""The path of the embedded default checkpoint."""

from pathlib import Path

from elic_models.errors import CheckpointError

DEFAULT_NAME = "elic_chandelier_lambda0150.safetensors"


def default_checkpoint() -> Path:
    """Return the path of the checkpoint that comes with a checkout of the project.

    Raises
    ------
    CheckpointError
        If there is none, because the package was installed from a wheel.

    """
    path = Path(__file__).resolve().parents[2] / "weights" / DEFAULT_NAME
    if not path.is_file():
        raise CheckpointError(
            "no default checkpoint here (only a checkout of the project has one): pass --checkpoint PATH"
        )
    return path
