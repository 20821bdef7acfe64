"""The image formats that are read, by name and by suffix, including those of installed plugins.

Pillow knows many more formats, and some of them run other programs; only the formats listed here are opened.
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
"""The packages that read these formats, for messages."""


@cache
def read_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are read."""
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
    """Return the suffixes of the formats that are read, in lower case."""
    known = {**_ALWAYS, **_BY_PLUGIN}
    return tuple(suffix for name in read_formats() for suffix in known[name])


def missing_plugin(data: bytes) -> str | None:
    """Return a message that names the plugin to install for a file, or None if no plugin would help."""
    name = _brand(data)
    return None if name is None or name in read_formats() else f"{name}, which {_PLUGINS[name]} reads: install it"


def _brand(data: bytes) -> str | None:
    """Return which format an ISO media file contains, according to its brands."""
    if data[4:8] != b"ftyp":
        return None
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return "HEIF" if any(brand in brands for brand in (b"heic", b"heix", b"mif1", b"msf1")) else None
