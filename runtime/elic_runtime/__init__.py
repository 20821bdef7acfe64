"""The ELIC codec on NumPy and ONNX Runtime, without PyTorch.

The library prints nothing. It logs to the standard logger `elic_runtime`, at level INFO.
"""

from elic_runtime.codec import Codec
from elic_runtime.errors import (
    BundleError,
    ChecksumError,
    CoderError,
    ConformanceError,
    ContainerError,
    DesyncError,
    ElicError,
    FormatError,
    ImageError,
    TargetError,
    TruncatedError,
    WrongBundleError,
)
from elic_runtime.file_coding import CodedFile, ContainerInfo, compress_file, decompress_file, read_info
from elic_runtime.metadata import Metadata
from elic_runtime.rates import Target

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "ChecksumError",
    "Codec",
    "CodedFile",
    "CoderError",
    "ConformanceError",
    "ContainerError",
    "ContainerInfo",
    "DesyncError",
    "ElicError",
    "FormatError",
    "ImageError",
    "Metadata",
    "Target",
    "TargetError",
    "TruncatedError",
    "WrongBundleError",
    "__version__",
    "compress_file",
    "decompress_file",
    "read_info",
]
