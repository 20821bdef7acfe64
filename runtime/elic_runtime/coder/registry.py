"""The coders by name and by id, which is the number that a container stores."""

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
"""For each coder's name: its id in containers, and a function that makes one."""

CODER_NAMES = {coder_id: name for name, (coder_id, _) in CODERS.items()}
"""The coders' names by id."""


def make_coder(name: str) -> Coder:
    """Make a coder.

    Parameters
    ----------
    name : str
        A key of `CODERS`.

    Raises
    ------
    CoderError
        If there is no coder of this name.

    """
    if name not in CODERS:
        raise CoderError(f"unknown coder {name!r}: known are {', '.join(CODERS)}")
    return CODERS[name][1]()
