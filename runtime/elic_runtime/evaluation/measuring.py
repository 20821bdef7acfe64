"""Measure photographs, one after the other: every bundle at every step, then the anchors at rates that match.

A `Measurer` is made once in every worker, which loads the bundles there; its plan is data that travels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elic_runtime.errors import BundleError
from elic_runtime.evaluation.anchors import find_anchors, points_of_anchors
from elic_runtime.evaluation.coding import Coded, FileCoding, Padding, open_coding
from elic_runtime.evaluation.details import describe
from elic_runtime.evaluation.measures import measure
from elic_runtime.evaluation.points import Details, Grid, ImageResult, Point
from elic_runtime.images import read_image
from elic_runtime.images.resizing import resize
from elic_runtime.pixels import Image
from elic_runtime.runners import ONNXRUNTIME, open_with


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Parameters
    ----------
    bundles : mapping of str to Path
        Folders of the bundles by their labels, in order.
    steps : tuple of float
        Steps to code at; none stand for 1. A no-entropy graph has its own.
    padding : {"bottom-right", "centre"}
        Where a no-entropy graph's image is padded.
    runner : str
        What runs the transforms.
    threads : int
        Threads per operator; 0 stands for one per core.
    resize : tuple of int, optional
        Height and width in pixels to which every photograph is resized first.
    anchors : tuple of str
        Names of the other codecs.
    perceptual : bool
        Whether to compute MS-SSIM and SSIMULACRA2 too.
    pictures : Path, optional
        Where the pictures of the photographs go that are shown closely; None if there are to be none.

    """

    bundles: Mapping[str, Path]
    steps: tuple[float, ...] = ()
    padding: Padding = "bottom-right"
    runner: str = ONNXRUNTIME
    threads: int = 0
    resize: tuple[int, int] | None = None
    anchors: tuple[str, ...] = ()
    perceptual: bool = False
    pictures: Path | None = None


@dataclass(frozen=True)
class Task:
    """A photograph to measure, and whether to show it closely."""

    path: Path
    closely: bool = False


@dataclass(frozen=True)
class Measured:
    """What was found of a photograph."""

    result: ImageResult
    details: Details | None = None


class Measurer:
    """Measures photographs by a plan.

    Parameters
    ----------
    plan : Plan
        What to measure.

    Raises
    ------
    BundleError
        If a bundle cannot be run, or does not take the plan's padding or steps.
    ElicError
        If an anchor or a runner does not exist here, or a step is out of range.

    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._anchors = plan, find_anchors(plan.anchors)
        opened = {label: open_with(folder, plan.runner, threads=plan.threads) for label, folder in plan.bundles.items()}
        files = {label for label, (bundle, _) in opened.items() if bundle.manifest.form != "no-entropy"}
        self._codings = {
            # The steps are those of the bundles that write files; where there is none, open_coding refuses them.
            label: open_coding(bundle, factory, plan.padding, plan.steps if label in files or not files else ())
            for label, (bundle, factory) in opened.items()
        }
        if plan.anchors and self._first is None:
            raise BundleError("anchors match the sizes of files, and no bundle here writes any: use --anchors none")

    def __call__(self, task: Task) -> Measured:
        """Measure a photograph.

        Parameters
        ----------
        task : Task
            The photograph.

        Raises
        ------
        ElicError
            If it cannot be read or coded.
        OSError
            If it cannot be read, or a picture of it cannot be written.

        """
        image = read_image(task.path)
        if self._plan.resize is not None:
            image = resize(image, *self._plan.resize)
        name, points, sizes = task.path.name, list[Point](), dict[float, int]()
        for label, coding in self._codings.items():
            for coded in coding(image):
                points.append(self._point(name, label, image, coded))
                if label == self._first and coded.data is not None:
                    sizes[coded.step] = len(coded.data)
        if self._anchors:
            points += points_of_anchors(self._anchors, name, image, sizes, perceptual=self._plan.perceptual)
        return Measured(ImageResult(image=name, points=tuple(points)), self._details(task, image))

    @property
    def _first(self) -> str | None:
        """The label of the first bundle that writes files: anchors match their sizes, and the report shows them."""
        return next((label for label, coding in self._codings.items() if isinstance(coding, FileCoding)), None)

    def _point(self, name: str, label: str, image: Image, coded: Coded) -> Point:
        height, width = image.shape[:2]
        found, grid = measure(image, coded.picture, perceptual=self._plan.perceptual), coded.grid
        return Point(
            image=name,
            codec=label,
            setting=f"step {coded.step:.4g}",
            step=coded.step,
            width=width,
            height=height,
            bytes=None if coded.data is None else len(coded.data),
            bpp=None if coded.bits is None else coded.bits / (height * width),
            psnr_db=found.psnr_db,
            equal=found.equal,
            ms_ssim=found.ms_ssim,
            ssimulacra2=found.ssimulacra2,
            encode_s=coded.encode_s,
            decode_s=coded.decode_s,
            grid=Grid(rows=grid.rows, columns=grid.columns, height=grid.tile_height, width=grid.tile_width),
        )

    def _details(self, task: Task, image: Image) -> Details | None:
        folder, label = self._plan.pictures, self._first
        if not task.closely or folder is None or label is None:
            return None
        coding = self._codings[label]
        assert isinstance(coding, FileCoding)  # noqa: S101 - what `_first` looks for
        return describe(task.path.name, label, image, coding, folder)
