"""PNG: transparency and colours according to the file's own chunks (PNG specification, third edition).

Pillow is not enough for them: it compares a transparent colour with samples that it has scaled or cut to 8 bits, and
does not know the chunk cICP.
"""

import struct
from collections.abc import Callable
from typing import Any

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
"""The gamma of sRGB in gAMA, in 1/100000, and a tolerance, since writers round it differently."""

_SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_PRIMARY_TOLERANCE = 1000
"""The chromaticities of sRGB in cHRM, in 1/100000: x and y of white, red, green and blue; and a tolerance."""

Chunks = dict[bytes, bytes]
"""Contents of chunks by type."""


def read_chunks(data: bytes) -> Chunks:
    """Read the chunks of a file that precede the pixels."""
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
    """Read the pixels.

    Parameters
    ----------
    chunks : Chunks
        The file's chunks.
    open_again : callable
        Opens the file with Pillow, each time anew.

    Returns
    -------
    ndarray
        uint8 [H, W] or [H, W, 3].

    Raises
    ------
    ImageError
        If a pixel is transparent.

    """
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
    """Read which colours a file has.

    The chunk cICP overrides iCCP, which overrides sRGB, which overrides gAMA and cHRM.

    Parameters
    ----------
    chunks : Chunks
        The file's chunks.
    profile : bytes, optional
        The ICC profile of the chunk iCCP, as Pillow decompresses it.

    Returns
    -------
    profile : bytes or None
        The ICC profile that applies; None if the colours are sRGB.
    described : bool
        Whether one of these chunks describes the colours, so that EXIF need not be consulted.

    Raises
    ------
    ImageError
        If the profile is damaged, or the colours cannot be converted.

    """
    if b"cICP" in chunks:
        primaries, transfer = chunks[b"cICP"][:2]
        check_code_points(primaries, transfer)
        return None, True
    if b"iCCP" in chunks:
        if not profile:
            raise ImageError("its colour profile is damaged: remove it, or convert the image to sRGB")
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
    """Drop the alpha channel of those colour types that have one. Raises ImageError if a pixel is not opaque."""
    if kind not in (GREY_ALPHA, RGBA):
        return samples
    refuse_transparent((samples[:, :, -1] != 255).any())
    return samples[:, :, 0] if kind == GREY_ALPHA else samples[:, :, :3]


def _check_key(chunks: Chunks, kind: int, samples: NDArray[np.integer[Any]], scale: int) -> None:
    """Raise ImageError if a pixel has the transparent colour of tRNS, multiplied by `scale`."""
    if b"tRNS" not in chunks or kind not in (GREY, RGB):
        return
    key = struct.unpack(f">{1 if kind == GREY else 3}H", chunks[b"tRNS"])
    depth = chunks[b"IHDR"][8]
    # Only as many low bits of a key count as a sample has (section 11.3.1.1).
    wanted = np.array([(value & 2**depth - 1) * scale for value in key])
    same = samples == wanted
    refuse_transparent((same if kind == GREY else same.all(axis=-1)).any())


def _check_palette(chunks: Chunks, indexes: NDArray[np.integer[Any]]) -> None:
    """Raise ImageError if a pixel uses a palette entry that is not opaque. Unused entries may be transparent."""
    alphas = np.full(256, 255)
    given = np.frombuffer(chunks.get(b"tRNS", b"")[:256], np.uint8)
    alphas[: len(given)] = given
    refuse_transparent((alphas[indexes] != 255).any())
