"""PNG: transparency and colours by the file's own chunks (PNG specification, third edition).

Pillow compares a transparent colour with samples that it has scaled or cut to 8 bits,
and knows nothing of cICP.
"""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from elic_runtime.errors import ImageError
from elic_runtime.images.colour import check_code_points
from elic_runtime.images.rasters import Samples, refuse_transparent, rounded, sixteen_bit_samples

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types."""

_SRGB_GAMMA, _GAMMA_TOLERANCE = 45455, 1000
"""Of gAMA, in 1/100000; what writers put there for sRGB differs by a little."""

_SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_PRIMARY_TOLERANCE = 1000
"""Of cHRM, in 1/100000: white, red, green, blue, x and y of each."""

Chunks = dict[bytes, bytes]


def read_chunks(data: bytes) -> Chunks:
    """The chunks before the pixels, by type."""
    chunks: Chunks = {}
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            break
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 12 + length
    return chunks


def read_samples(chunks: Chunks, open_again: Callable[[], ImageFile.ImageFile]) -> Samples:
    """The pixels, uint8 [H, W] or [H, W, 3]. Raises ImageError if one is transparent."""
    depth, kind = chunks[b"IHDR"][8:10]
    if depth == 16 and kind in (RGB, RGBA):
        wide = sixteen_bit_samples(open_again)
        _check_key(chunks, kind, wide, 1)
        return _opaque(rounded(wide), kind)
    picture = open_again()
    found = np.asarray(picture)
    if kind == PALETTE:
        _check_palette(chunks, found)
        return np.asarray(picture.convert("RGB"))
    if kind == GREY and depth == 16:
        _check_key(chunks, kind, found, 1)
        return rounded(found)
    samples: Samples = found.astype(np.uint8) * np.uint8(255 if depth == 1 else 1)
    _check_key(chunks, kind, samples, 255 // (2 ** min(depth, 8) - 1))
    return _opaque(samples, kind)


def read_profile(chunks: Chunks, profile: bytes | None) -> tuple[bytes | None, bool]:
    """The ICC profile that counts, and whether the file itself says what its colours are.

    profile: that of iCCP, as Pillow unpacks it. cICP goes before iCCP, that before sRGB,
    and that before gAMA and cHRM. Raises ImageError for colours that are not converted.
    """
    if b"cICP" in chunks:
        primaries, transfer = chunks[b"cICP"][:2]
        check_code_points(primaries, transfer)
        return None, True
    if b"iCCP" in chunks:
        if not profile:
            raise ImageError("its colour profile is damaged: remove it, or convert the picture to sRGB")
        return profile, True
    if b"sRGB" in chunks:
        return None, True
    if b"gAMA" in chunks:
        (gamma,) = struct.unpack(">I", chunks[b"gAMA"])
        if abs(gamma - _SRGB_GAMMA) > _GAMMA_TOLERANCE:
            raise ImageError(f"its samples are not sRGB but of gamma {gamma / 100000:g}: convert it to sRGB first")
    if b"cHRM" in chunks:
        found = struct.unpack(">8I", chunks[b"cHRM"])
        if max(abs(a - b) for a, b in zip(found, _SRGB_PRIMARIES, strict=True)) > _PRIMARY_TOLERANCE:
            raise ImageError("its primaries (cHRM) are not those of sRGB: convert it to sRGB first")
    return None, b"gAMA" in chunks


def _opaque(samples: Samples, kind: int) -> Samples:
    """The colour's channels. Raises ImageError if alpha, the last one of some kinds, is not full everywhere."""
    if kind not in (GREY_ALPHA, RGBA):
        return samples
    refuse_transparent((samples[:, :, -1] != 255).any())
    return samples[:, :, 0] if kind == GREY_ALPHA else samples[:, :, :3]


def _check_key(chunks: Chunks, kind: int, samples: NDArray[np.integer], scale: int) -> None:
    """Raises ImageError if a sample, or all three, are the transparent colour's, times `scale`."""
    if b"tRNS" not in chunks or kind not in (GREY, RGB):
        return
    key = struct.unpack(f">{1 if kind == GREY else 3}H", chunks[b"tRNS"])
    depth = chunks[b"IHDR"][8]
    # Only the low bits of a key count that a sample has (section 11.3.1.1).
    wanted = np.array([(value & 2**depth - 1) * scale for value in key])
    same = samples == wanted
    refuse_transparent((same if kind == GREY else same.all(axis=-1)).any())


def _check_palette(chunks: Chunks, indexes: NDArray[np.integer]) -> None:
    """Raises ImageError if a pixel has an entry that is not opaque; others may be there."""
    alphas = np.full(256, 255)
    given = np.frombuffer(chunks.get(b"tRNS", b"")[:256], np.uint8)
    alphas[: len(given)] = given
    refuse_transparent((alphas[indexes] != 255).any())
