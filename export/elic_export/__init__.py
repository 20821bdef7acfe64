"""Export ELIC from PyTorch to bundles of ONNX graphs, compile these, and measure their parity with PyTorch.

PyTorch is imported by the first call that needs it. The call that compares a bundle with PyTorch is `measure_parity`,
since `parity` is the name of the package that implements it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elic_runtime import __version__

from elic_export.errors import ConfigError, ExportError, InexactError, OperatorError

if TYPE_CHECKING:
    from elic_export.api import Progress, compile_bundle, export, measure_parity
    from elic_export.compiling.compile import Compiled
    from elic_export.compiling.settings import CompileSettings
    from elic_export.config import ExportConfig, read_config
    from elic_export.thresholds import Thresholds, read_thresholds

__all__ = [
    "CompileSettings",
    "Compiled",
    "ConfigError",
    "ExportConfig",
    "ExportError",
    "InexactError",
    "OperatorError",
    "Progress",
    "Thresholds",
    "__version__",
    "compile_bundle",
    "export",
    "measure_parity",
    "read_config",
    "read_thresholds",
]

_LAZY = {
    "CompileSettings": "compiling.settings",
    "Compiled": "compiling.compile",
    "ExportConfig": "config",
    "Progress": "api",
    "Thresholds": "thresholds",
    "compile_bundle": "api",
    "export": "api",
    "measure_parity": "api",
    "read_config": "config",
    "read_thresholds": "thresholds",
}
"""The modules of the names that need packages which the extra `export` installs."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'elic_export' has no attribute {name!r}")
    return getattr(import_module(f"elic_export.{_LAZY[name]}"), name)
