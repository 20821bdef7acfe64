"""Options that several `elic` commands share, and what their texts mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from elic_runtime.engines import EngineName
from elic_runtime.environment import BUNDLE_VARIABLE
from elic_runtime.errors import ElicError
from elic_runtime.runners import RUNNERS
from elic_runtime.steps import nearest_step
from elic_runtime.windows import MAX_HALO

if TYPE_CHECKING:
    from elic_runtime.codec import Box
    from elic_runtime.rates import Quantity, Target

FileArgument = Annotated[
    Path, typer.Argument(metavar="IN", help="File to read (.elic), folder of files, or - for standard input.")
]
PictureArgument = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="Image to write (.png, .tif, .bmp, .ppm), a folder if IN is a folder, or - for standard output (PNG).",
    ),
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", envvar=BUNDLE_VARIABLE, show_envvar=False, help="Folder of the exported bundle."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
ThreadsOption = Annotated[int, typer.Option(min=0, max=256, help="Threads per operator; 0 stands for one per core.")]
RunnerOption = Annotated[
    str,
    typer.Option(
        "--runner",
        help=f"What runs the transforms: {', '.join(RUNNERS)}. All but the first need elic-export compile.",
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        "--jobs",
        min=1,
        max=256,
        help="Images of a folder that are worked on at once. Each takes the memory of one more image; "
        "with --threads 1, as many as there are cores is fastest.",
    ),
]
AtOnceOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "--workers",
        min=1,
        max=4096,
        help="Images that are worked on at once: by threads, 1 by default, each of which takes the memory of one more "
        "image; or by workers of Ray, by default as many as there are processors.",
    ),
]
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="What works on the images of a folder: threads of this process, or workers of Ray."),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="Cluster to use with --engine ray, such as auto. The default is RAY_ADDRESS, or else this machine alone.",
    ),
]
ResizeOption = Annotated[
    str | None,
    typer.Option("--resize", metavar="HxW", help="Resize every photograph first, as vendors' model zoos do."),
]
HaloOption = Annotated[
    int,
    typer.Option(
        "--halo",
        min=1,
        max=MAX_HALO,
        help="Overlap, in units of 16 pixels, of the windows of an image that is larger than the graphs. "
        "2 is faster, and what it changes is invisible.",
    ),
]
PartialOption = Annotated[
    bool, typer.Option("--partial", help="Decode a file that ends early, or is damaged, as far as it goes.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing files in the output folder.")]
Share = Literal["1/16", "1/8"]
Kept = Literal["all", "icc", "none"]
Padding = Literal["bottom-right", "centre"]


def named_bundle(option: Path | None) -> Path:
    """Return the bundle's folder. Raises ElicError, which explains how to name a bundle, if none was named."""
    if option is None:
        raise ElicError(
            f"no bundle: name its folder with --bundle, or in {BUNDLE_VARIABLE}; elic-export static makes one"
        )
    return option


def box_of(region: str) -> "Box":
    """Return the numbers of a region such as `0,0,640,480`. Raises ElicError for anything else."""
    numbers = region.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise ElicError(f"--region {region}: it must be left, top, width and height in pixels, such as 0,0,640,480")
    left, top, width, height = map(int, numbers)
    return left, top, width, height


def steps_of(steps: str) -> list[float]:
    """Return the numbers of steps such as `0.5,1,2`. Raises ElicError for anything else."""
    try:
        return [nearest_step(float(step)) for step in steps.split(",")]
    except ValueError:
        raise ElicError(f"--steps {steps}: it must be numbers with commas between them, such as 0.5,1,2") from None


def rate_of(step: float | None, targets: "dict[Quantity, float | None]") -> "float | Target":
    """Return the step or the target that was asked for. Raises ElicError if there are several."""
    from elic_runtime.rates import Target

    chosen: list[float | Target] = [Target(name, value) for name, value in targets.items() if value is not None]
    chosen += [] if step is None else [nearest_step(step)]
    if len(chosen) > 1:
        raise ElicError("--step, --bytes, --bpp and --psnr all choose the step: use one of them")
    return chosen[0] if chosen else 1.0
