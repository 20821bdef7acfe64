"""The ELIC codec on numpy and ONNX Runtime: no PyTorch."""

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
    TruncatedError,
    WrongBundleError,
)

__all__ = [
    "BundleError",
    "ChecksumError",
    "Codec",
    "CoderError",
    "ConformanceError",
    "ContainerError",
    "DesyncError",
    "ElicError",
    "FormatError",
    "ImageError",
    "TruncatedError",
    "WrongBundleError",
]
