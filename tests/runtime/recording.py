"""A decoder whose symbols are seen."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
from elic_runtime import Codec
from elic_runtime.coder import make_coder


def decoded_symbols(bundle: Path, data: bytes, **options) -> tuple[np.ndarray, np.ndarray]:
    """The picture of a file, uint8 [H, W, 3], and all symbols that its streams hold, int32 [n], stream after stream."""
    kind = type(make_coder())
    seen, decode = [], kind.decode

    def record(self, *arguments):
        seen.append(decode(self, *arguments))
        return seen[-1]

    codec = Codec.load(bundle, encode=False, **options)
    with patch.object(kind, "decode", record):
        picture = codec.decompress(data)
    return picture, np.concatenate(seen)
