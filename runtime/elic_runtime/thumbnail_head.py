"""The linear head that makes thumbnails of y_hat, at 1/16 and 1/8 of the size. It is fitted at export.

```
y_hat [M, H/16, W/16] ─ head ─┬─ [3, H/16, W/16]  ─ 1/16
                              └─ [12, H/16, W/16] ─ depth to space ─ [3, H/8, W/8] ─ 1/8
```
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elic_runtime.errors import BundleError
from elic_runtime.pixels import Image, to_image
from elic_runtime.shapes import LATENT_STRIDE
from elic_runtime.tables import check_size

SCALES = (16, 8)
"""How many pixels of the image become one of a thumbnail, to each side, in the order of the head's rows."""

Floats = NDArray[np.float32]

ARRAY = "thumbnail"
"""The head's name among the arrays of `calibration.npz`."""


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head.

    Parameters
    ----------
    weights : ndarray
        float32 [15, M + 1]: rows for 1/16 (3) and 1/8 (12: red of the four pixels, green, blue), from 0 to 1; the last
        column is the bias.

    """

    weights: Floats

    def __call__(self, y_hat: Floats, scale: int) -> Image:
        """Return the thumbnail of y_hat, float32 [M, h, w]: uint8 [16 h / scale, 16 w / scale, 3]."""
        first = sum(map(rows_of, SCALES[: SCALES.index(scale)]))
        rows = self.weights[first : first + rows_of(scale)]
        outputs = np.tensordot(rows[:, :-1], y_hat, 1) + rows[:, -1, None, None]
        return to_image(from_outputs(outputs, scale))


def rows_of(scale: int) -> int:
    """Return how many outputs a thumbnail has for each position of y_hat."""
    return 3 * (LATENT_STRIDE // scale) ** 2


def box_downsampled(image: Image, scale: int) -> NDArray[np.float64]:
    """Return the means of boxes of `scale` x `scale` pixels of an image whose sizes are multiples: [H, W, 3]."""
    height, width = image.shape[0] // scale, image.shape[1] // scale
    means: NDArray[np.float64] = image.reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
    return means


def to_outputs(pixels: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """Return a thumbnail, [n h, n w, 3], as the outputs of a head: [3 n n, h, w], the inverse of depth to space."""
    n = LATENT_STRIDE // scale
    height, width = pixels.shape[0] // n, pixels.shape[1] // n
    return pixels.reshape(height, n, width, n, 3).transpose(4, 1, 3, 0, 2).reshape(3 * n * n, height, width)


def from_outputs(outputs: Floats, scale: int) -> Floats:
    """Return the outputs of a head, [3 n n, h, w], as a thumbnail: [3, n h, n w]."""
    n = LATENT_STRIDE // scale
    _, height, width = outputs.shape
    return outputs.reshape(3, n, n, height, width).transpose(0, 3, 1, 4, 2).reshape(3, n * height, n * width)


def read_head(path: Path, latents: int) -> Head:
    """Read the head from a bundle's `calibration.npz`.

    Parameters
    ----------
    path : Path
        The file.
    latents : int
        Channels of y.

    Raises
    ------
    BundleError
        If the file is damaged, or has no head of this model.

    """
    try:
        check_size(path)
        with np.load(path, allow_pickle=False) as file:
            weights = file[ARRAY] if ARRAY in file.files else None
    except BundleError:
        raise
    except Exception as error:  # each layer of a damaged zip archive of arrays raises exceptions of its own
        raise BundleError(f"{path}: not a calibration: {' '.join(str(error).split())}") from None
    if weights is None:
        raise BundleError(f"{path}: holds no head for thumbnails: export the bundle again, calibrated on photographs")
    if weights.dtype != np.float32 or weights.shape != (sum(map(rows_of, SCALES)), latents + 1):
        raise BundleError(f"{path}: its head for thumbnails is not one of this model")
    if not np.isfinite(weights).all():
        raise BundleError(f"{path}: its head for thumbnails has values that are not finite")
    return Head(weights)
