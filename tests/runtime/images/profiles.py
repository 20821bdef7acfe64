"""ICC profiles made by hand, and what their colours are in sRGB, by their definitions."""

import struct

import numpy as np

# Columns: red, green, blue; rows: X, Y, Z, adapted to D50 (ICC's connection space).
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""g, a, b, c, d of ICC's function type 3."""


def fixed(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def curve(kind):
    """kind: a gamma, or the five numbers of a function of type 3."""
    if isinstance(kind, float):
        return b"para\0\0\0\0\0\0\0\0" + fixed(kind)
    return b"para\0\0\0\0\0\3\0\0" + fixed(*kind)


def profile(name, kind, primaries=None):
    """An ICC v4 display profile: of RGB with these primaries, or of grey."""
    text = name.encode("utf-16-be")
    tags = {
        b"desc": b"mluc\0\0\0\0" + struct.pack(">2I2s2s2I", 1, 12, b"en", b"US", len(text), 28) + text,
        b"cprt": b"mluc\0\0\0\0" + struct.pack(">2I2s2s2I", 1, 12, b"en", b"US", 4, 28) + "PD".encode("utf-16-be"),
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249),
    }
    if primaries is None:
        tags[b"kTRC"] = curve(kind)
    else:
        for letter, column in zip(b"rgb", primaries.T, strict=True):
            tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*column)
            tags[bytes([letter]) + b"TRC"] = curve(kind)
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">2I", at + len(body), len(content))
        body += padded
    space = b"GRAY" if primaries is None else b"RGB "
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def linear(samples, kind):
    values = samples / 255
    if isinstance(kind, float):
        return values**kind
    g, a, b, c, d = kind
    return np.where(values >= d, (a * values + b) ** g, c * values)


def in_srgb(pixels, kind, primaries):
    """uint8 [H, W, 3] of a profile, as sRGB clipped to its gamut."""
    light = linear(pixels, kind) @ (np.linalg.inv(SRGB) @ primaries).T
    light = light.clip(0, 1)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)
