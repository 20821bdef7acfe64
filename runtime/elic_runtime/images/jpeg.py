"""Repair of JPEG files that lack only their end marker."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image as PillowImage

from elic_runtime.images.rasters import Samples

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN, _RESTARTS, _PROGRESSIVE = 0xDA, 0xDD, 0xC2

_FILLERS = tuple(bytes([value]) * 4096 for value in (0x55, 0xAA, 0x33, 0xCC, 0x0F, 0xF0))
"""Bytes without markers, more than a group of blocks can take.

If bits of the last group are missing, at least one of these fillers decodes differently from the zeros that decoders
supply in their place.
"""


def with_end(data: bytes) -> bytes | None:
    """Return a file with its end marker appended, or None if it lacks more than that marker.

    A decoder ignores bytes after the last pixel. The image is therefore complete if it does not depend on the bytes
    that follow. This is decided only for files with one scan and no restart markers, where nothing else can be missing.

    Parameters
    ----------
    data : bytes
        The file.

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
    """Yield the marker and the content of each segment up to the first scan."""
    at = len(_START)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # any number of these bytes may precede a marker
            at += 1
            continue
        yield marker, data[at + 4 : at + 2 + size]
        if marker == _SCAN:
            return
        at += 2 + size


def _decode(data: bytes) -> Samples:
    with PillowImage.open(BytesIO(data), formats=("JPEG",)) as file:
        return np.asarray(file)
