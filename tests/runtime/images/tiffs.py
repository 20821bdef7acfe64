"""TIFF files of every layout that tifffile and Pillow write, each with the picture that it holds."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tifffile
from PIL import Image

TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""What a viewer shows of stored pixels, by orientation."""

ALPHAS = {"none": None, "unspecified": 0, "premultiplied": 1, "opaque": 2, "transparent": 2}

REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


@dataclass(frozen=True)
class Tiff:
    """A file.

    picture: uint8 [H, W, 3]; None if a reader must refuse it. readable: whether it must not be refused.
    tolerance: of samples, for lossy compression.
    """

    label: str
    data: bytes
    picture: np.ndarray | None
    readable: bool
    tolerance: int = 0


def sixteen(pixels):
    """16-bit samples whose low bytes matter."""
    noise = np.random.default_rng(3).integers(0, 256, pixels.shape)
    return (pixels.astype(np.uint16) << 8) + noise.astype(np.uint16)


def eight(samples, depth):
    """Samples of so many bits as the nearest 8-bit ones."""
    return np.rint(samples.astype(np.float64) * 255 / (2**depth - 1)).astype(np.uint8)


def rgb_of(samples, inverted, depth):
    """What a viewer shows of grey or RGB samples."""
    shown = eight(2**depth - 1 - samples if inverted else samples, depth)
    return np.repeat(shown[:, :, None], 3, axis=2) if shown.ndim == 2 else shown


def written_by_tifffile(pixels) -> Iterator[Tiff]:
    """The cross product of what it writes: kind, depth, alpha, planes, compression, tiles, byte order, orientation."""
    kinds = ("grey", "grey, white is zero", "rgb")
    layouts = itertools.product(
        kinds, (8, 16), ALPHAS, (1, 2), (None, "zlib", "predictor"), (None, (16, 16)), "<>", TURNED
    )
    for kind, depth, alpha, planes, compression, tile, order, orientation in layouts:
        if planes == 2 and kind != "rgb" and alpha == "none":
            continue  # one channel has no planes
        wide = sixteen(pixels) if depth == 16 else pixels
        samples = wide if kind == "rgb" else wide[:, :, 0]
        shown = TURNED[orientation](rgb_of(samples, kind.endswith("zero"), depth))
        stored = samples
        if alpha != "none":
            opacity = np.full(samples.shape[:2], 2**depth - 1, samples.dtype)
            if alpha == "transparent":
                opacity[1, 2] = 1
            stored = np.dstack([samples, opacity])
        if planes == 2:
            stored = np.moveaxis(stored, -1, 0)
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, byteorder=order) as writer:
            writer.write(
                stored,
                photometric={"grey": "minisblack", "rgb": "rgb"}.get(kind, "miniswhite"),
                planarconfig={1: "contig", 2: "separate"}[planes] if stored.ndim == 3 else None,
                extrasamples=() if alpha == "none" else (ALPHAS[alpha],),
                compression="zlib" if compression else None,
                predictor=compression == "predictor",
                tile=tile,
                rowsperstrip=None if tile else 7,
                metadata=None,
                extratags=[(274, 3, 1, orientation, True)],
            )
        label = f"{kind}, {depth} bit, alpha {alpha}, planes {planes}, {compression}, {tile}, {order}, {orientation}"
        # Grey with alpha in planes, or white-is-zero with alpha: legal, and never seen.
        usual = kind == "rgb" or alpha == "none"
        transparent = alpha == "transparent"
        yield Tiff(label, buffer.getvalue(), None if transparent else shown, usual and not transparent)


def of_few_bits(pixels) -> Iterator[Tiff]:
    """Grey and palettes of 1, 2, 4 and 8 bits, either bit order, written by hand: no compression, one strip."""
    layouts = itertools.product((1, 2, 4, 8), ("white is zero", "grey", "palette"), (1, 2), "<>", TURNED)
    for depth, kind, fill, order, orientation in layouts:
        samples = pixels[:, :, 0] >> 8 - depth
        bits = (samples[:, :, None] >> np.arange(depth)[::-1] & 1).reshape(len(samples), -1)
        packed = np.packbits(bits.astype(np.uint8), axis=1).tobytes()
        palette = np.random.default_rng(5).integers(0, 256, (2**depth, 3)).astype(np.uint8)
        tags = {
            256: (4, [samples.shape[1]]),
            257: (4, [samples.shape[0]]),
            258: (3, [depth]),
            259: (3, [1]),
            262: (3, [("white is zero", "grey", "", "palette").index(kind)]),
            266: (3, [fill]),
            273: (4, [8]),
            274: (3, [orientation]),
            277: (3, [1]),
            278: (4, [samples.shape[0]]),
            279: (4, [len(packed)]),
        }
        if kind == "palette":
            tags[320] = (3, (palette.T.astype(np.uint16) * 257).ravel().tolist())
            shown = palette[samples]
        else:
            shown = rgb_of(samples, kind == "white is zero", depth)
        data = by_hand(order, tags, packed.translate(REVERSED) if fill == 2 else packed)
        label = f"{kind}, {depth} bit, fill {fill}, {order}, {orientation}"
        # Pillow has no such unpackers; nobody has such files.
        readable = fill == 1 or (kind != "palette" if depth < 8 else kind != "white is zero")
        yield Tiff(label, data, TURNED[orientation](shown), readable)


def by_hand(order, tags, pixels) -> bytes:
    """A TIFF of one strip at byte 8, with these tags: type 3 or 4, and values."""
    name = {"<": "little", ">": "big"}[order]
    body = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4) + pixels)
    body += bytes(len(body) % 2)
    entries = bytearray(len(tags).to_bytes(2, name))
    for tag, (kind, values) in sorted(tags.items()):
        size = {3: 2, 4: 4}[kind]
        value = b"".join(v.to_bytes(size, name) for v in values)
        if len(value) > 4:
            value, where = len(body).to_bytes(4, name), value
            body += where
        entries += (
            tag.to_bytes(2, name) + kind.to_bytes(2, name) + len(values).to_bytes(4, name) + value.ljust(4, b"\0")
        )
    body[4:8] = len(body).to_bytes(4, name)
    return bytes(body + entries + bytes(4))


def written_by_pillow(pixels) -> Iterator[Tiff]:
    """Compressions that tifffile does not write alone."""
    rgb = Image.fromarray(pixels)
    pictures = {
        "1": rgb.convert("1"),
        "L": rgb.convert("L"),
        "P": rgb.quantize(16),
        "RGB": rgb,
        "RGBA": rgb.convert("RGBA"),
        "LA": rgb.convert("LA"),
        "I;16": Image.fromarray(sixteen(pixels[:, :, 0])),
    }
    compressions = ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate", "tiff_deflate", "lzma", "zstd", "group4")
    for (mode, picture), compression, orientation in itertools.product(pictures.items(), compressions, TURNED):
        if (compression == "group4") != (mode == "1"):
            continue
        if compression == "jpeg" and mode not in ("L", "RGB"):
            continue
        buffer = io.BytesIO()
        picture.save(buffer, "TIFF", compression=compression, tiffinfo={274: orientation})
        shown = rgb_of(np.asarray(picture), False, 16) if mode == "I;16" else np.asarray(picture.convert("RGB"))
        tolerance = 60 if compression == "jpeg" else 0
        yield Tiff(
            f"{mode}, {compression}, {orientation}", buffer.getvalue(), TURNED[orientation](shown), True, tolerance
        )
    for compression in (None, "tiff_lzw"):
        buffer = io.BytesIO()
        rgb.convert("YCbCr").save(buffer, "TIFF", compression=compression)
        yield Tiff(f"YCbCr, {compression}", buffer.getvalue(), pixels, False, 8)


def without_meaning(pixels) -> Iterator[Tiff]:
    """Samples that have no single meaning in 8-bit RGB: to be refused, each by a clear line."""
    grey = pixels[:, :, 0]
    arrays = {
        "float16": (grey / 255).astype(np.float16),
        "float32": (grey / 255).astype(np.float32),
        "float64": grey / 255,
        "uint32": grey.astype(np.uint32) << 24,
        "int8": (grey >> 1).astype(np.int8),
        "int16": grey.astype(np.int16),
        "int32": grey.astype(np.int32),
        "float32 RGB": (pixels / 255).astype(np.float32),
        "complex": grey.astype(np.complex64),
    }
    for name, array in arrays.items():
        buffer = io.BytesIO()
        photometric = "rgb" if array.ndim == 3 else "minisblack"
        tifffile.imwrite(buffer, array, photometric=photometric, metadata=None)
        yield Tiff(name, buffer.getvalue(), None, False)
    pictures = {mode: Image.fromarray(pixels).convert(mode) for mode in ("CMYK", "F", "I")}
    pictures["LAB"] = Image.frombytes("LAB", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    for mode, picture in pictures.items():
        buffer = io.BytesIO()
        picture.save(buffer, "TIFF")
        yield Tiff(mode, buffer.getvalue(), None, False)


def all_layouts(pixels) -> Iterator[Tiff]:
    """Every file above."""
    for generator in (written_by_tifffile, of_few_bits, written_by_pillow, without_meaning):
        yield from generator(pixels)
