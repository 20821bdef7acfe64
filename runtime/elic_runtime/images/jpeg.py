"""JPEG files that lack nothing but their end marker."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image as PillowImage

from elic_runtime.images.rasters import Samples

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN, _RESTARTS, _PROGRESSIVE = 0xDA, 0xDD, 0xC2

_FILLERS = tuple(bytes([value]) * 4096 for value in (0x55, 0xAA, 0x33, 0xCC, 0x0F, 0xF0))
"""Bytes without markers, more than a group of blocks can take: whatever bits are missing of it, one of
these differs from the zeros that decoders put there, up to the last sample that is seen."""


def with_end(data: bytes) -> bytes | None:
    """The file with its end marker, if that is all that it lacks; else None.

    A decoder takes what follows the last pixel for padding, whatever it is: if the picture
    is complete, other bytes there do not change it. Asked of files whose pixels are
    one scan without restart markers, where nothing else can be missing.
    """
    body = data.rstrip(b"\xff")
    if not data.startswith(_START) or body.endswith(_END):
        return None
    segments = dict(_segments(body))
    with PillowImage.open(BytesIO(body), formats=("JPEG",)) as file:
        layers = len(file.layer)
    if not {_RESTARTS, _PROGRESSIVE}.isdisjoint(segments) or segments.get(_SCAN, b"")[:1] != bytes([layers]):
        return None
    whole = body + _END
    picture = _decode(whole)
    return whole if all(np.array_equal(picture, _decode(body + filler + _END)) for filler in _FILLERS) else None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each segment's marker and content, up to the first scan."""
    at = len(_START)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a marker may have any number of these before it
            at += 1
            continue
        yield marker, data[at + 4 : at + 2 + size]
        if marker == _SCAN:
            return
        at += 2 + size


def _decode(data: bytes) -> Samples:
    with PillowImage.open(BytesIO(data), formats=("JPEG",)) as file:
        return np.asarray(file)
