"""ELIC from PyTorch to ONNX bundles, and the proof that they are still the model.

PyTorch is imported with the first call that needs it. The call that holds a bundle against PyTorch is
`measure_parity`, not `parity`: that is the name of the package behind it.
"""

from importlib.metadata import version

from elic_export.api import Progress, export, measure_parity
from elic_export.config import ExportConfig, Thresholds, read_config
from elic_export.errors import ConfigError, ExportError, InexactError, OperatorError

__version__ = version("elic-deploy")

__all__ = [
    "ConfigError",
    "ExportConfig",
    "ExportError",
    "InexactError",
    "OperatorError",
    "Progress",
    "Thresholds",
    "__version__",
    "export",
    "measure_parity",
    "read_config",
]
