"""The entropy coder: CompressAI's rANS, in C (native.py, rans.c) and in plain Python (plain.py) with the same bytes."""

import logging
from functools import cache

from elic_runtime.coder.native import LIBRARY, NativeCoder
from elic_runtime.coder.plain import PlainCoder
from elic_runtime.coder.protocol import Coder, Indexes, Symbols

__all__ = ["Coder", "Indexes", "NativeCoder", "PlainCoder", "Symbols", "make_coder"]

logger = logging.getLogger(__name__)


@cache
def make_coder() -> Coder:
    """Return the coder in C, or the one in Python where the former was not compiled, which is logged as a warning."""
    try:
        return NativeCoder()
    except OSError as error:
        reason = str(error) if LIBRARY.exists() else "no C compiler was found when elic-deploy was installed"
        logger.warning("entropy coding runs in Python, about 50 times as slowly as in C: %s", reason)
        return PlainCoder()
