"""EXIF and XMP that image files contain, as bytes that another file can hold."""

import re
import struct
from typing import Any

from PIL import ImageFile

from elic_runtime.metadata import Metadata

_EXIF_PREFIX = b"Exif\0\0"
_ORIENTATION, _UPRIGHT = 0x0112, 1
_LAYOUTS = {1: "B", 3: "H", 4: "I"}
"""How an integer of EXIF is stored, by its type."""

_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)[2-8]""")

XMP_TEXT = "XML:com.adobe.xmp"
"""The keyword of the text of a PNG that is XMP."""

_OTHERS = {"comment": "a comment", "photoshop": "IPTC"}
"""What else Pillow finds, and its name in messages."""


def read_embedded(file: ImageFile.ImageFile) -> tuple[Metadata, tuple[str, ...]]:
    """Return the EXIF and the XMP of a loaded image, and the names of what else there is and is not kept.

    The orientation in them becomes that of an upright picture, since reading a photograph turns it.

    Parameters
    ----------
    file : PIL.ImageFile.ImageFile
        The image.

    """
    file.load()  # a PNG may have them after its pixels
    exif, xmp = _bytes(file.info.get("exif")), _bytes(file.info.get("xmp"))
    others = [name for key, name in _OTHERS.items() if file.info.get(key)]
    if set(getattr(file, "text", ())) - {XMP_TEXT}:
        others.append("text")
    return Metadata(exif=upright(exif) if exif else None, xmp=upright_xmp(xmp) if xmp else None), tuple(others)


def upright(exif: bytes) -> bytes:
    """Return EXIF whose orientation says that the picture is upright, without its prefix.

    All other bytes stay: notes of the camera's maker point to places in them.

    Parameters
    ----------
    exif : bytes
        A TIFF structure, with or without the prefix `Exif`.

    """
    data = bytearray(exif.removeprefix(_EXIF_PREFIX))
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        return bytes(data)
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    if first + 2 > len(data):
        return bytes(data)
    (count,) = struct.unpack_from(f"{order}H", data, first)
    for entry in range(first + 2, min(first + 2 + 12 * count, len(data) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}2H", data, entry)
        if tag == _ORIENTATION and kind in _LAYOUTS:
            struct.pack_into(order + _LAYOUTS[kind], data, entry + 8, _UPRIGHT)
    return bytes(data)


def upright_xmp(xmp: bytes) -> bytes:
    """Return XMP whose orientation, if it has one, says that the picture is upright."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")
