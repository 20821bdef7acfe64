"""A plugin for Pillow: once it is imported, `Image.open` reads `.elic` files, and `Image.save` writes them.

The bundle is named by the environment variable `ELIC_BUNDLE`, or for a file that is saved by the option `bundle`. It is
loaded once, when the pixels of the first file are needed.
"""

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from elic_runtime.codec import Codec
from elic_runtime.container import MAGIC, SUFFIX
from elic_runtime.container_reading import parse
from elic_runtime.environment import BUNDLE_VARIABLE
from elic_runtime.errors import ContainerError, ElicError
from elic_runtime.images.embedded import upright
from elic_runtime.metadata import Metadata
from elic_runtime.rates import QUANTITIES, Target

FORMAT = "ELIC"


class ElicImageFile(ImageFile.ImageFile):
    """An `.elic` file, as Pillow opens it. Its size and metadata are read at once, its pixels when they are needed."""

    format = FORMAT
    format_description = "ELIC learned image compression"

    def _open(self) -> None:
        data = self.fp.read() if self.fp is not None else b""
        try:
            container = parse(data)
        except ContainerError as error:
            raise SyntaxError(str(error)) from None  # what Pillow expects of a plugin that cannot read a file
        self._data = data
        self._size = container.grid.width, container.grid.height
        self._mode = "RGB"
        names = {"icc": "icc_profile", "exif": "exif", "xmp": "xmp"}
        self.info |= {names[name]: value for name, value in container.metadata.items()}
        self.info["step"] = container.step
        self.tile = []

    def load(self) -> Any:
        """Decode the pixels. Raises OSError, as Pillow's own formats do, if the file cannot be decoded."""
        if self._data:
            try:
                pixels = _codec(None, encode=False).decompress(self._data)
            except ElicError as error:
                raise OSError(str(error)) from None
            self.im = Image.fromarray(pixels).im
            self._data = b""
            if self.fp is not None and self._exclusive_fp:
                self.fp.close()  # all of it was read; Pillow's own formats do so too
                self.fp = io.BytesIO()
        return super().load()


def save(image: Image.Image, file: IO[bytes], _name: str | bytes) -> None:
    """Write an image, with these options: `bundle`; `step` or one of `QUANTITIES`; `icc_profile`, `exif`, `xmp`.

    EXIF that says that the image is turned is stored as that of an upright one: turn the image first, by
    `ImageOps.exif_transpose`.
    """
    options = {name: value for name, value in image.encoderinfo.items() if value is not None}
    if image.mode != "RGB":
        raise OSError(f"cannot write mode {image.mode} as {FORMAT}: convert it to RGB")
    chosen = [name for name in ("step", *QUANTITIES) if name in options]
    if len(chosen) > 1:
        raise ValueError(f"{' and '.join(chosen)} all choose the step: use one of them")
    exif = options.get("exif")
    exif = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    icc = options.get("icc_profile", image.info.get("icc_profile"))
    metadata = Metadata(icc=icc or None, exif=upright(exif) if exif else None, xmp=options.get("xmp"))
    try:
        targets = [Target(name, options[name]) for name in QUANTITIES if name in options]
        writer = _codec(options.get("bundle"), decode=any(t.quantity == "psnr" for t in targets))
        if targets:
            data = writer.compress_to(np.asarray(image), targets[0], metadata=metadata)
        else:
            data = writer.compress(np.asarray(image), step=options.get("step", 1.0), metadata=metadata)
    except ElicError as error:
        raise OSError(str(error)) from None
    file.write(data)


def _codec(bundle: str | os.PathLike[str] | None, *, encode: bool = True, decode: bool = True) -> Codec:
    """Return the codec of a bundle, or of the one that the environment names. Raises ElicError if none does."""
    named = bundle or os.environ.get(BUNDLE_VARIABLE)
    if not named:
        raise ElicError(f"no bundle: name its folder in {BUNDLE_VARIABLE}, or save with bundle=...")
    return _loaded(Path(named).resolve(), encode, decode)


@lru_cache(maxsize=4)
def _loaded(bundle: Path, encode: bool, decode: bool) -> Codec:
    return Codec.load(bundle, encode=encode, decode=decode)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


Image.register_open(FORMAT, ElicImageFile, _accept)
Image.register_save(FORMAT, save)
Image.register_extension(FORMAT, SUFFIX)
Image.register_mime(FORMAT, "image/x-elic")
