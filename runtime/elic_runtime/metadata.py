"""What a file says of its picture besides the pixels: colour profile, EXIF and XMP, as bytes."""

from collections.abc import Collection
from dataclasses import dataclass, fields

from elic_runtime.errors import ImageError

MAX_METADATA = 16 << 20
"""Largest size of all metadata of a file, in bytes. Colour profiles have up to some MB, previews in EXIF likewise."""


@dataclass(frozen=True)
class Metadata:
    """Metadata of a picture, each as the bytes that a PNG, TIFF or JPEG file would hold.

    Parameters
    ----------
    icc : bytes, optional
        The colour profile. Without one, the pixels are sRGB.
    exif : bytes, optional
        EXIF, as a TIFF structure without the prefix `Exif`.
    xmp : bytes, optional
        XMP, an XML packet.

    Examples
    --------
    >>> data = codec.compress(image, metadata=Metadata(xmp=b"<x:xmpmeta/>"))
    >>> read_info(data).metadata.xmp
    b'<x:xmpmeta/>'

    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    @property
    def size(self) -> int:
        """Size of all of it in bytes."""
        return sum(len(value) for _, value in self.items())

    def only(self, kinds: Collection[str]) -> "Metadata":
        """Return the metadata of these kinds: `icc`, `exif`, `xmp`."""
        return Metadata(**{name: value for name, value in self.items() if name in kinds})

    def items(self) -> list[tuple[str, bytes]]:
        """Return name and bytes of what there is."""
        values = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in values if value is not None]


NO_METADATA = Metadata()

_ENTRY_BYTES = 6
"""Largest size of what precedes each of them in a file."""


def check_metadata(metadata: Metadata) -> None:
    """Raise ImageError if metadata take more than `MAX_METADATA` bytes, or if EXIF is no TIFF structure."""
    if metadata.exif is not None and metadata.exif[:4] not in (b"II*\0", b"MM\0*"):
        raise ImageError("EXIF must be a TIFF structure, without the prefix that it has in a JPEG")
    if metadata.size + _ENTRY_BYTES * len(metadata.items()) > MAX_METADATA:
        raise ImageError(f"metadata of {metadata.size} bytes are outside the limit of {MAX_METADATA >> 20} MiB")


KINDS = {"icc": 0, "exif": 1, "xmp": 2}
"""The numbers that stand for the kinds of metadata in a file."""
