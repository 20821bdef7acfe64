"""The coders by name, and by the id that a container carries."""

from collections.abc import Callable

from elic_runtime.coder.protocol import Coder
from elic_runtime.errors import CoderError


def _constriction() -> Coder:
    from elic_runtime.coder.constriction import ConstrictionCoder

    return ConstrictionCoder()


def _compressai() -> Coder:
    from elic_runtime.coder.compressai import CompressaiCoder

    return CompressaiCoder()


CODERS: dict[str, tuple[int, Callable[[], Coder]]] = {
    "constriction": (0, _constriction),
    "compressai": (1, _compressai),
}
"""By name: the id that containers carry, and how to make one."""

CODER_NAMES = {coder_id: name for name, (coder_id, _) in CODERS.items()}


def make_coder(name: str) -> Coder:
    """A coder by name. Raises CoderError for a name that is not in `CODERS`."""
    if name not in CODERS:
        raise CoderError(f"unknown coder {name!r}: known are {', '.join(CODERS)}")
    return CODERS[name][1]()
