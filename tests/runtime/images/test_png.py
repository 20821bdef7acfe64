"""PNG: every colour type, depth and transparency, written by hand as the specification has it."""

import struct
import zlib

import numpy as np
import pytest
from damage import survives_damage
from elic_runtime import ImageError
from elic_runtime.images import decode_photograph

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind, payload):
    return len(payload).to_bytes(4, "big") + kind + payload + zlib.crc32(kind + payload).to_bytes(4, "big")


def scanlines(samples, depth):
    bits = (samples.reshape(len(samples), -1)[:, :, None] >> np.arange(depth)[::-1] & 1).reshape(len(samples), -1)
    return b"".join(b"\0" + row.tobytes() for row in np.packbits(bits.astype(np.uint8), axis=1))


def png(samples, kind, depth, *, interlaced=False, before=()):
    """samples: [H, W, channels]. before: chunks ahead of the pixels, as (type, payload)."""
    height, width = samples.shape[:2]
    header = struct.pack(">2I5B", width, height, depth, kind, 0, 0, interlaced)
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    pixels = zlib.compress(b"".join(scanlines(part, depth) for part in parts if part.size))
    chunks = [(b"IHDR", header), *before, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def decode(data):
    return decode_photograph(data, "a.png").pixels


def shown(samples, depth):
    return np.rint(samples.astype(np.float64) * 255 / (2**depth - 1)).astype(np.uint8)


@pytest.fixture
def pixels(cat):
    """16 bits of each sample matter."""
    noise = np.random.default_rng(3).integers(0, 256, (19, 30, 3))
    return (cat[100:119, 150:180].astype(np.uint16) << 8) + noise.astype(np.uint16)


def layouts():
    return [(kind, depth, i) for kind, depths in DEPTHS.items() for depth in depths for i in (False, True)]


@pytest.mark.parametrize(("kind", "depth", "interlaced"), layouts())
def test_every_layout(pixels, kind, depth, interlaced):
    samples = (pixels >> 16 - depth)[:, :, : 3 if kind in (RGB, RGBA) else 1]
    palette = np.random.default_rng(5).integers(0, 256, (2 ** min(depth, 8), 3)).astype(np.uint8)
    picture = palette[samples[:, :, 0]] if kind == PALETTE else np.broadcast_to(shown(samples, depth), pixels.shape)
    before = [(b"PLTE", palette.tobytes())] if kind == PALETTE else []
    if kind in (GREY_ALPHA, RGBA):
        samples = np.dstack([samples, np.full_like(samples[:, :, 0], 2**depth - 1)])
    found = decode(png(samples, kind, depth, interlaced=interlaced, before=before))
    # Pillow gives the high bytes of 16-bit grey with alpha, and nothing else of it.
    off = 1 if (kind, depth) == (GREY_ALPHA, 16) else 0
    assert np.abs(found.astype(int) - picture).max() <= off
    if kind in (GREY_ALPHA, RGBA):
        samples[3, 4, -1] = 2**depth // 2
        with pytest.raises(ImageError, match="it is transparent"):
            decode(png(samples, kind, depth, interlaced=interlaced))


@pytest.mark.parametrize(("kind", "depth"), [(kind, depth) for kind in (GREY, RGB) for depth in DEPTHS[kind]])
def test_a_transparent_colour_counts_where_a_pixel_has_it(pixels, kind, depth):
    samples = (pixels >> 16 - depth)[:, :, : CHANNELS[kind]]
    picture = np.broadcast_to(shown(samples, depth), pixels.shape)
    used = samples[7, 11]
    with pytest.raises(ImageError, match="it is transparent"):
        decode(png(samples, kind, depth, before=[(b"tRNS", used.astype(">u2").tobytes())]))
    # One that no pixel has: though its high bytes are a pixel's, or its low ones, as 16-bit keys cut to 8 bits are.
    everywhere = {tuple(colour) for colour in samples.reshape(-1, samples.shape[2]).tolist()}
    near = [tuple(used ^ (1 << bit)) for bit in range(depth)]
    free = next((colour for colour in near if colour not in everywhere), None)
    if free is not None:
        key = np.array(free, ">u2")
        assert (decode(png(samples, kind, depth, before=[(b"tRNS", key.tobytes())])) == picture).all()
    if depth == 16:
        low_bytes = (used & 255).astype(">u2")
        assert tuple(low_bytes) not in everywhere
        assert (decode(png(samples, kind, depth, before=[(b"tRNS", low_bytes.tobytes())])) == picture).all()


def test_palette_entries_that_no_pixel_has_may_be_transparent():
    samples = np.arange(64).reshape(8, 8, 1) % 7
    palette = np.arange(48, dtype=np.uint8).reshape(16, 3)
    before = [(b"PLTE", palette.tobytes())]
    for alphas, opaque in ((b"\xff" * 7 + b"\0\1\2", True), (b"\xff" * 6 + b"\xfe", False), (b"\0", False)):
        data = png(samples, PALETTE, 4, before=[*before, (b"tRNS", alphas)])
        if opaque:
            assert (decode(data) == palette[samples[:, :, 0]]).all()
        else:
            with pytest.raises(ImageError, match="it is transparent"):
                decode(data)


SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHRM = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def gamma(value):
    return b"gAMA", value.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([], None),
        ([(b"sRGB", b"\0")], None),
        ([gamma(45455)], None),
        ([gamma(45455), (b"cHRM", SRGB_CHRM)], None),
        ([(b"sRGB", b"\0"), gamma(100000)], None),  # sRGB goes before gAMA
        ([(b"cICP", bytes([1, 13, 0, 1]))], None),
        ([(b"cICP", bytes([1, 13, 0, 1])), gamma(100000)], None),
        ([gamma(100000)], "gamma 1:"),
        ([gamma(55556)], "gamma 0.55556"),
        ([gamma(45455), (b"cHRM", P3_CHRM)], "primaries"),
        ([(b"cICP", bytes([9, 16, 0, 1]))], r"HDR \(PQ\)"),
        ([(b"cICP", bytes([9, 18, 0, 1]))], r"HDR \(HLG\)"),
        ([(b"cICP", bytes([12, 13, 0, 1]))], "primaries 12"),
        ([(b"cICP", bytes([1, 8, 0, 1])), (b"sRGB", b"\0")], "linear light"),
        ([(b"iCCP", b"name\0\0damaged")], "profile is damaged"),
    ],
)
def test_what_a_file_says_of_its_colours(pixels, before, message):
    data = png(pixels >> 8, RGB, 8, before=before)
    if message is None:
        assert (decode(data) == pixels >> 8).all()
    else:
        with pytest.raises(ImageError, match=message):
            decode(data)


def test_damage_is_refused_or_harmless(pixels):
    chunks = [(b"tRNS", b"\1\2\3\4\5\6"), (b"cICP", bytes([1, 13, 0, 1]))]
    for depth in (8, 16):
        assert survives_damage(png(pixels >> 16 - depth, RGB, depth, before=chunks), first=8, until=100)
