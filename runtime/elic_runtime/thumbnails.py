"""Thumbnails of files, without g_s.

```
.elic ─ latent_reader.py ─ y_hat ─ thumbnail_head.py ─ image at 1/16 or 1/8
```
"""

from elic_runtime.coder import Coder
from elic_runtime.latent_reader import LatentReader, Wanted
from elic_runtime.pixels import Image
from elic_runtime.progress import Ticks
from elic_runtime.regions import PartialImage, Region
from elic_runtime.thumbnail_head import Head


def read_thumbnail(reader: LatentReader, data: bytes, wanted: Wanted, coder: Coder, head: Head, scale: int) -> Image:
    """Return the thumbnail of a file.

    Parameters
    ----------
    reader : LatentReader
        Decodes latents.
    data : bytes
        The file.
    wanted : Wanted
        How much of it to decode.
    coder : Coder
        The entropy coder.
    head : Head
        The bundle's.
    scale : {16, 8}
        How many pixels of the image, to each side, become one.

    Returns
    -------
    ndarray
        uint8 [H / scale, W / scale, 3], rounded up. Tiles that are missing are grey.

    """
    container = reader.open(data, wanted)
    grid = container.grid
    picture = PartialImage(Region(0, 0, -(-grid.width // scale), -(-grid.height // scale)))
    for tile, (rows, columns) in zip(container.tiles, grid, strict=False):  # a file that ends early has fewer
        pixels = head(reader.decode(container, [tile], coder, Ticks(None))[0], scale)
        top, left = rows.start // scale, columns.start // scale
        picture.paste(slice(top, top + pixels.shape[0]), slice(left, left + pixels.shape[1]), pixels)
    return picture.pixels
