"""Batches: items of one kind, as many at once as a graph takes."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T")


def groups(items: Iterable[_T], size: int, kind: Callable[[_T], object] = lambda _: None) -> Iterator[list[_T]]:
    """Group items in their order.

    Parameters
    ----------
    items : iterable
        What to group.
    size : int
        Largest number of items in a group.
    kind : callable
        Items of one group have an equal `kind(item)`.

    """
    for _, alike in groupby(items, kind):
        while group := list(islice(alike, size)):
            yield group


def fill(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Repeat the last item of an array [n, ...] until there are at least `size` items, as many as a graph needs."""
    missing = size - len(values)
    return np.concatenate([values, *[values[-1:]] * missing]) if missing > 0 else values
