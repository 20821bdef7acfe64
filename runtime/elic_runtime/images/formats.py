"""Which image formats are read: by name and by ending, with what an installed plugin adds.

Pillow has many more formats, some of which run other programs: only these are opened.
"""

from functools import cache
from importlib import import_module
from types import MappingProxyType

from PIL import Image as PillowImage

_ALWAYS = MappingProxyType(
    {
        "PNG": (".png",),
        "JPEG": (".jpg", ".jpeg"),
        "BMP": (".bmp",),
        "TIFF": (".tif", ".tiff"),
        "WEBP": (".webp",),
        "PPM": (".ppm", ".pgm"),
    }
)

_BY_PLUGIN = MappingProxyType({"AVIF": (".avif",), "HEIF": (".heic", ".heif")})

_PLUGINS = MappingProxyType({"AVIF": "Pillow from 11.3 on, or pillow-avif-plugin", "HEIF": "pillow-heif"})
"""What reads each, for messages."""


@cache
def read_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read here."""
    PillowImage.init()
    for module, register in (("pillow_heif", "register_heif_opener"), ("pillow_avif", "")):
        try:
            plugin = import_module(module)
        except ImportError:
            continue
        if register:
            getattr(plugin, register)()
    return (*_ALWAYS, *(name for name in _BY_PLUGIN if name in PillowImage.OPEN))


@cache
def readable() -> tuple[str, ...]:
    """Endings of the formats that are read here, in lower case."""
    known = {**_ALWAYS, **_BY_PLUGIN}
    return tuple(suffix for name in read_formats() for suffix in known[name])


def missing_plugin(data: bytes) -> str | None:
    """What to install to read a file that begins so, if a plugin is all that is missing."""
    name = _brand(data)
    return None if name is None or name in read_formats() else f"{name}, which {_PLUGINS[name]} reads: install it"


def _brand(data: bytes) -> str | None:
    """Which of the formats in an ISO media file this is, by its brands."""
    if data[4:8] != b"ftyp":
        return None
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return "HEIF" if any(brand in brands for brand in (b"heic", b"heix", b"mif1", b"msf1")) else None
