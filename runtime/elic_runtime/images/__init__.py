"""Image files <-> uint8 RGB arrays, upright, with their metadata.

```
file ─ reading ─┬─ tiff, png, jpeg: check the library's result against the file ─┬─ colour ─ array
                └─ any other format ─────────────────────────────────────────────┘
array ─ writing ─ file          folder ─ folders ─ files
```
"""

from elic_runtime.images.folders import container_files, image_files
from elic_runtime.images.reading import Photograph, decode_photograph, in_srgb, read_image, read_photograph
from elic_runtime.images.writing import WRITABLE, encode_image, encode_picture, write_image

__all__ = [
    "WRITABLE",
    "Photograph",
    "container_files",
    "decode_photograph",
    "encode_image",
    "encode_picture",
    "image_files",
    "in_srgb",
    "read_image",
    "read_photograph",
    "write_image",
]
