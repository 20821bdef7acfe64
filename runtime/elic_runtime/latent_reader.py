"""`.elic` files -> y_hat: what a file is checked for, and entropy decoding.

```
.elic ─ container_reading.py ─ latents.py ─ y_hat
```
"""

from collections.abc import Sequence
from dataclasses import dataclass

from elic_runtime.coder import Coder
from elic_runtime.container import CodedTile, Container, short_fingerprint
from elic_runtime.container_reading import Arriving, Source, parse, parse_prefix
from elic_runtime.context import Floats
from elic_runtime.errors import ContainerError, ElicError, WrongBundleError
from elic_runtime.latents import LargestSymbol, LatentCoding
from elic_runtime.limits import Limits
from elic_runtime.manifest import Manifest
from elic_runtime.progress import Ticks
from elic_runtime.regions import Region


@dataclass(frozen=True)
class Wanted:
    """What to decode of a file.

    Parameters
    ----------
    region : Region, optional
        The part of the image; the default is all of it.
    slices : int, optional
        How many slices of y, from the first one on; the default is all of them. The others are predicted.
    partial : bool
        Whether a file may end early, or be damaged behind its beginning.

    """

    region: Region | None = None
    slices: int | None = None
    partial: bool = False


class LatentReader:
    """What decodes the latents of a bundle's files.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    latents : LatentCoding
        The entropy model.
    limits : Limits
        What it takes.

    """

    def __init__(self, manifest: Manifest, latents: LatentCoding, limits: Limits) -> None:
        self._manifest, self._latents, self._limits = manifest, latents, limits
        self._fingerprint = short_fingerprint(manifest.fingerprint)

    def open(self, data: bytes, wanted: Wanted) -> Container:
        """Return the content of a file, as far as it is wanted.

        Raises
        ------
        ContainerError
            As `parse` raises it, or if the file is not one of this bundle.
        ElicError
            If more slices are wanted than there are.

        """
        most = len(self._manifest.model.groups)
        if wanted.slices is not None and not 0 <= wanted.slices <= most:
            raise ElicError(f"slices={wanted.slices}: it must be from 0 to {most}")
        read = parse_prefix if wanted.partial else parse
        container = read(data, self._limits.pixels, self._check_ours)
        return container if wanted.slices is None else container.first(wanted.slices)

    def arriving(self, source: Source) -> Arriving:
        """Return a file that is read from a stream. Raises ContainerError as `open` does."""
        return Arriving(source, self._limits.pixels, self._check_ours)

    def count(self, height: int, width: int) -> int:
        """Return how many windows the latent of an image of a size in pixels needs."""
        return self._latents.count(height, width)

    def decode(self, header: Container, tiles: Sequence[CodedTile], coder: Coder, ticks: Ticks) -> Floats:
        """Decode tiles of files with the same sizes and step: y_hat, float32 [B, M, H/16, W/16].

        A pass at the end of a part of a file, which no checksum of bytes covers, is left out if it does not decode.
        """
        try:
            return self._decode(header, tiles, coder, ticks)
        except ContainerError:
            checked = [tile.checked for tile in tiles]
            if checked == list(tiles):
                raise
            return self._decode(header, checked, coder, ticks)

    def _decode(self, header: Container, tiles: Sequence[CodedTile], coder: Coder, ticks: Ticks) -> Floats:
        seen = LargestSymbol()
        with seen.explained():
            return self._latents.decode(coder, tiles, *header.grid.tile, header.step, seen, ticks)

    def _check_ours(self, container: Container) -> None:
        arithmetic = self._manifest.arithmetic
        if container.fingerprint != self._fingerprint:
            raise WrongBundleError(
                f"written with another bundle (fingerprint {container.fingerprint.hex()[:12]}, "
                f"this one is {self._fingerprint.hex()[:12]}): decode it with the bundle that wrote it"
            )
        if container.arithmetic != arithmetic:
            raise WrongBundleError(
                f"written in {container.arithmetic} arithmetic, this bundle's is {arithmetic}: decode it with the "
                "bundle that wrote it"
            )
        extent, (height, width) = self._manifest.decoder, container.grid.tile
        largest = extent.max
        if not self._limits.windowed and (height > largest.height or width > largest.width):
            raise WrongBundleError(
                f"written in tiles of {height}x{width}, this bundle takes up to {largest} (height x width) and is too "
                "small for windows: decode it with a bundle of larger images"
            )
        if height < extent.min.height or width < extent.min.width:
            raise WrongBundleError(
                f"written in tiles of {height}x{width}, this bundle takes {extent} (height x width): decode it with a "
                "bundle of smaller images, or with a dynamic one whose range includes it"
            )
        if container.n_slices != len(self._manifest.model.groups):
            raise WrongBundleError("written with another number of slices than this bundle has")
