"""The entropy coders, which share one protocol."""

from elic_runtime.coder.protocol import Coder, Indexes, Symbols
from elic_runtime.coder.registry import CODER_NAMES, CODERS, make_coder

__all__ = ["CODERS", "CODER_NAMES", "Coder", "Indexes", "Symbols", "make_coder"]
