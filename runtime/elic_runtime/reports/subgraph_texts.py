"""What pictures say of a bundle's subgraphs: a manifest and the sizes of files -> lines of text."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from elic_runtime.entries import SubgraphInfo, TensorInfo, graph_precision
from elic_runtime.errors import BundleError
from elic_runtime.manifest import Manifest
from elic_runtime.shapes import Dim, fix, fixed_sizes

LENGTH = 34
"""Characters in a line of a box."""

_LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators that are named first: those with nearly all of the work."""

_AXES = {"height": "H", "width": "W"}


class SubgraphTexts:
    """A bundle's subgraphs in words, for one image of the largest size that its encoder takes whole.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest.
    sizes : mapping of str to int
        Bytes of the subgraphs' files, where they are known.

    """

    def __init__(self, manifest: Manifest, sizes: Mapping[str, int]) -> None:
        self.manifest, self.sizes = manifest, sizes
        self.image = manifest.encoder.max

    def info(self, name: str) -> SubgraphInfo:
        """Return a subgraph's entry in the manifest. Raises BundleError if it was not exported."""
        try:
            return self.manifest.subgraphs[name]
        except KeyError:
            raise BundleError(
                f"this {self.manifest.form} bundle was exported without {name}, and cannot be drawn"
            ) from None

    def tensor(self, name: str, role: str) -> TensorInfo:
        """Return an input or output of a subgraph."""
        info = self.info(name)
        return next(tensor for tensor in (*info.inputs, *info.outputs) if tensor.role == role)

    def called(self, name: str, role: str) -> str:
        """Return the role of a tensor and, if it is another, its name in the graph."""
        tensor = self.tensor(name, role)
        return role if tensor.name == role else f"{role} ({tensor.name})"

    def shape(self, name: str, role: str) -> str:
        """Return the shape of a tensor as `sized` writes it."""
        return self.sized(self.tensor(name, role).shape)

    def sized(self, shape: Sequence[Dim]) -> str:
        """Return a shape without its batch, such as `320x32x32`, or with open dimensions `320xH/16xW/16`.

        Dimensions that are open on the CPU only are those of an image for the encoder.
        """
        sizes = fixed_sizes(self.manifest.encoder, self.manifest.batch)
        return "x".join(map(_written, fix(shape, sizes)[1:]))

    def note(self, name: str) -> str:
        """Return how a subgraph computes: the name of its precision, or `exact` if it computes integers."""
        manifest = self.manifest
        exact = manifest.arithmetic == "exact" and manifest.table[name].decides_symbols
        return "exact" if exact else graph_precision(manifest.precision, name)

    def lines(self, name: str, *remarks: str) -> list[str]:
        """Return what a box says of a subgraph: operators, parameters, bytes, multiply-adds, and who compiled it.

        Parameters
        ----------
        name : str
            Name of the subgraph.
        *remarks : str
            What else to say.

        """
        info = self.info(name)
        held = [f"{short(info.parameters)} parameters"] if info.parameters is not None else []
        held += [short(self.sizes[name], "B")] if name in self.sizes else []
        compilers = [tool for tool, target in self.manifest.compiled.items() if name in target.subgraphs]
        said = [operators(info.operators), ", ".join(held), self._work(name), *remarks]
        said += [f"compiled: {', '.join(compilers)}"] if compilers else []
        return [line for text in said for line in wrap(text, LENGTH)]

    def per_pixel(self, *names: str) -> float | None:
        """Return the multiply-adds of subgraphs together, for each pixel of the image; None if one is not counted."""
        counts = [(self.info(name).multiply_adds, self.manifest.extent(name).max.pixels) for name in names]
        return None if any(count is None for count, _ in counts) else sum((count or 0) / area for count, area in counts)

    def _work(self, name: str) -> str:
        work = self.per_pixel(name)
        return "" if work is None else f"{short(work)} multiply-adds/pixel, {short(work * self.image.pixels)}"


def operators(counts: Mapping[str, int]) -> str:
    """Return how many operators a graph has, and those that it has most of, in one line of a box."""
    order = sorted(counts, key=lambda kind: (kind not in _LAYERS, -counts[kind], kind))
    said = f"{sum(counts.values())} operators"
    for i, kind in enumerate(order):
        longer = f"{said}{', ' if i else ': '}{kind} {counts[kind]}"
        more = ", …" if i + 1 < len(order) else ""
        if len(longer) + len(more) > LENGTH:
            return f"{said}, …" if i else said
        said = longer
    return said


def short(number: float, unit: str = "") -> str:
    """Return a number in three digits with a prefix and a unit, such as `7.34 M`, `255 k` or `29.4 MB`."""
    prefix = ""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5 or prefix == "T":
            break
        number /= 1000
    whole = number >= 99.95 or not prefix
    digits = f"{number:.0f}" if whole else f"{number:.{2 if number < 9.995 else 1}f}"
    return f"{digits} {prefix}{unit}".rstrip()


def _written(dim: Dim) -> str:
    axis, _, divisor = str(dim).partition("_")
    return str(dim) if isinstance(dim, int) else f"{_AXES[axis]}/{divisor}" if divisor else _AXES[axis]
