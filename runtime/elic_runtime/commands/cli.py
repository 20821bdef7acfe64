"""The `elic` command: photographs to `.elic` files and back."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from elic_runtime.commands.console import (
    CHECK_FAILED,
    console,
    fail,
    note,
    one_line_errors,
    print_json,
    print_version,
    progress,
    run_app,
)
from elic_runtime.commands.jobs import Facts, coding_facts, pair, run_jobs
from elic_runtime.commands.streams import STREAM, name_of, read_input, write_output
from elic_runtime.environment import BUNDLE_VARIABLE
from elic_runtime.errors import ElicError
from elic_runtime.metadata import KINDS
from elic_runtime.plain_json import dumps
from elic_runtime.runners import ONNXRUNTIME, RUNNERS
from elic_runtime.steps import MAX_STEP, MIN_STEP, nearest_step
from elic_runtime.windows import DEFAULT_HALO, MAX_HALO

if TYPE_CHECKING:
    from elic_runtime.codec import Box
    from elic_runtime.progress import Progress
    from elic_runtime.rates import Quantity, Target

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Compress photographs with an exported ELIC bundle, and decompress them again.\n\n"
    "Export a bundle with elic-export. Folders work where files do.\n\n"
    "Exit codes: 0 if done, 1 if a check failed, 2 for wrong usage or bad input.",
)

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


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Declare the options that need no subcommand. The help text of the command is that of `app`."""


@app.command()
@one_line_errors(ElicError)
def compress(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image, folder of images, or - for standard input.")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="File to write, a folder if IN is a folder, or - for standard output."),
    ],
    bundle: BundleOption = None,
    runner: RunnerOption = ONNXRUNTIME,
    threads: ThreadsOption = 0,
    step: Annotated[
        float | None,
        typer.Option(
            help=f"How coarsely to round, from {MIN_STEP:g} to {MAX_STEP:g}: 1 is the checkpoint's own rate, "
            "larger steps give smaller files.",
        ),
    ] = None,
    size: Annotated[int | None, typer.Option("--bytes", help="Choose the step so that a file has this size.")] = None,
    bpp: Annotated[float | None, typer.Option(help="The same, in bits per pixel.")] = None,
    psnr: Annotated[float | None, typer.Option(help="Choose the step for this PSNR in dB, which decodes too.")] = None,
    metadata: Annotated[
        Kept, typer.Option(help="What to keep of the photograph's metadata: all is colour profile, EXIF and XMP.")
    ] = "icc",
    srgb: Annotated[bool, typer.Option("--srgb", help="Convert the colours to sRGB.")] = False,
    tiles: Annotated[
        bool,
        typer.Option("--tiles", help="Code an image that is larger than the graphs in tiles of their own, with seams."),
    ] = False,
    halo: HaloOption = DEFAULT_HALO,
    at_once: JobsOption = 1,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compress an image, or every image of a folder.

    RGB, grey, palette and 16-bit photographs of up to 134 megapixels are read, and rounded to 8 bits. Their orientation
    is applied; RGB pictures keep their colour profile, and the colours of others are converted to sRGB.
    """
    from elic_runtime.codec import Codec
    from elic_runtime.container import SUFFIX
    from elic_runtime.file_coding import compress_photograph
    from elic_runtime.images import decode_photograph, image_files, read_photograph

    kept = set({"all": KINDS, "icc": ["icc"], "none": []}[metadata]) - ({"icc"} if srgb else set())
    rate = _rate(step, {"bytes": size, "bpp": bpp, "psnr": psnr})
    left_out: list[str] = []
    jobs = pair(source, target, image_files(source, left_out.append), (SUFFIX,), force)
    _note(left_out)
    codec = Codec.load(_bundle(bundle), decode=psnr is not None, runner=runner, threads=threads, halo=halo)

    def run(path: Path, out: Path, show: "Progress | None") -> Facts:
        if path == STREAM:
            photograph = decode_photograph(read_input(path), name_of(path), keep_profile=True)
        else:
            photograph = read_photograph(path, keep_profile=True)
        data, coded = compress_photograph(codec, photograph, rate, keep=kept, tiles=tiles, progress=show)
        write_output(out, data)
        return coding_facts(path, out, coded) | {"converted_from": coded.converted_from}

    run_jobs(jobs, run, "compress", at_once, as_json)


@app.command()
@one_line_errors(ElicError)
def decompress(
    source: FileArgument,
    target: PictureArgument,
    bundle: BundleOption = None,
    runner: RunnerOption = ONNXRUNTIME,
    threads: ThreadsOption = 0,
    region: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="Decode a part only: its left, top, width and height in pixels."),
    ] = None,
    slices: Annotated[
        int | None, typer.Option(min=0, help="Decode the first slices only, and predict the others: a preview.")
    ] = None,
    partial: PartialOption = False,
    halo: HaloOption = DEFAULT_HALO,
    at_once: JobsOption = 1,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decompress an .elic file, or every .elic file of a folder.

    A file that is damaged or was written with another bundle is refused, and nothing is written for it, unless
    --partial asks for what is there.
    """
    from elic_runtime.codec import Codec
    from elic_runtime.file_coding import decompress_data
    from elic_runtime.images import WRITABLE, container_files

    box = None if region is None else _box(region)
    left_out: list[str] = []
    jobs = pair(source, target, container_files(source, left_out.append), WRITABLE, force)
    _note(left_out)
    codec = Codec.load(_bundle(bundle), encode=False, runner=runner, threads=threads, halo=halo)

    def run(path: Path, out: Path, show: "Progress | None") -> Facts:
        suffix = out.suffix or WRITABLE[0]
        data, coded = decompress_data(
            codec, read_input(path), suffix, region=box, slices=slices, partial=partial, progress=show
        )
        write_output(out, data)
        return coding_facts(path, out, coded)

    run_jobs(jobs, run, "decompress", at_once, as_json)


@app.command()
@one_line_errors(ElicError)
def thumbnail(
    source: FileArgument,
    target: PictureArgument,
    bundle: BundleOption = None,
    size: Annotated[Share, typer.Option(help="Size of the thumbnail, as a share of the image's.")] = "1/8",
    threads: ThreadsOption = 0,
    partial: PartialOption = False,
    at_once: JobsOption = 1,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decompress a small version of an .elic file, or of every .elic file of a folder, without g_s."""
    from elic_runtime.codec import Codec
    from elic_runtime.file_coding import thumbnail_data
    from elic_runtime.images import WRITABLE, container_files

    left_out: list[str] = []
    jobs = pair(source, target, container_files(source, left_out.append), WRITABLE, force)
    _note(left_out)
    codec = Codec.load(_bundle(bundle), encode=False, decode=False, threads=threads)

    def run(path: Path, out: Path, _show: "Progress | None") -> Facts:
        suffix = out.suffix or WRITABLE[0]
        data, coded = thumbnail_data(codec, read_input(path), suffix, int(size.removeprefix("1/")), partial=partial)
        write_output(out, data)
        return coding_facts(path, out, coded)

    run_jobs(jobs, run, "thumbnail", at_once, as_json)


@app.command()
@one_line_errors(ElicError)
def info(
    path: Annotated[
        Path, typer.Argument(metavar="FILE_OR_DIR", help="An .elic file, folder of a bundle, or - for standard input.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Describe an .elic file or a bundle.

    All bytes of a file are checked; its bundle is not needed.
    """
    from elic_runtime.commands.info import bundle_facts, container_facts, print_bundle, print_container

    gather, show = (bundle_facts, print_bundle) if path.is_dir() else (container_facts, print_container)
    facts = gather(path)
    if as_json:
        print_json(facts)
    else:
        show(facts, console())


@app.command("eval")
@one_line_errors(ElicError)
def evaluate(
    images: Annotated[Path, typer.Option("--images", help="Photograph, or folder of photographs.")],
    bundle: BundleOption = None,
    padding: Annotated[
        Padding, typer.Option(help="Where an image is padded if the graph does not take its size.")
    ] = "bottom-right",
    steps: Annotated[
        str | None,
        typer.Option(metavar="STEP,...", help="How coarsely to round, one after the other, such as 0.5,1,2."),
    ] = None,
    runner: RunnerOption = ONNXRUNTIME,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure the PSNR and the bits per pixel of each photograph, and their means at every step.

    The rate of a no-entropy bundle is that of its likelihoods; the rate of any other bundle is that of its files.
    """
    from elic_runtime.commands.evaluate import eval_facts, print_results
    from elic_runtime.commands.evaluate import evaluate as run
    from elic_runtime.images import image_files
    from elic_runtime.runners import open_with

    tried = [] if steps is None else _steps(steps)
    paths = progress(image_files(images, note), "eval")
    opened, factory = open_with(_bundle(bundle), runner, threads=threads)
    results = run(opened, paths, padding, factory, tried)
    if as_json:
        print_json(eval_facts(results))
    else:
        print_results(results, console())


@app.command()
@one_line_errors(ElicError)
def conformance(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the exported bundle.")],
    as_json: JsonOption = False,
) -> None:
    """Check that every available backend computes an exact bundle's integers.

    The bundle's known input is run by each available provider of ONNX Runtime, with one thread, two threads and one per
    core, and without graph optimizations. The exit code is 1 if any result differs.
    """
    from elic_runtime.bundle import Bundle
    from elic_runtime.commands.conformance import check_settings, print_settings

    results = check_settings(Bundle(bundle), lambda items: progress(items, "conformance"))
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        print_settings(results, console())
    inexact = [result.backend for result in results if result.differs]
    if inexact:
        fail(f"not exact: {', '.join(inexact)}")
        raise typer.Exit(CHECK_FAILED)


@app.command()
@one_line_errors(ElicError)
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the exported bundle.")],
    runner: RunnerOption = ONNXRUNTIME,
    against: Annotated[
        str | None, typer.Option(help="Another runner to run in turns with it, to compare results and times.")
    ] = None,
    threads: ThreadsOption = 0,
    record: Annotated[Path | None, typer.Option(help="File to write the results to, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check on a device, without PyTorch, that a runner computes what PyTorch computed.

    Three known photographs of the bundle are transformed, and one is coded. The exit code is 1 if a result is not
    accepted. --record writes what to send back from a board.
    """
    from elic_runtime.commands.verify import print_report, verify_runners

    report = verify_runners(bundle, runner, against, threads)
    facts = report.model_dump(mode="json")
    if record is not None:
        write_output(record, f"{dumps(facts)}\n".encode())
    if as_json:
        print_json(facts)
    else:
        print_report(report, console())
    if not report.passed:
        fail(f"not verified: {', '.join(c.question for c in report.results[0].checks if not c.passed)}")
        raise typer.Exit(CHECK_FAILED)


def main() -> None:
    """Run the command line and exit."""
    run_app(app)


def _bundle(option: Path | None) -> Path:
    """Return the bundle's folder. Raises ElicError, which explains how to name a bundle, if none was named."""
    if option is None:
        raise ElicError(
            f"no bundle: name its folder with --bundle, or in {BUNDLE_VARIABLE}; elic-export static makes one"
        )
    return option


def _box(region: str) -> "Box":
    """Return the numbers of a region such as `0,0,640,480`. Raises ElicError for anything else."""
    numbers = region.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise ElicError(f"--region {region}: it must be left, top, width and height in pixels, such as 0,0,640,480")
    left, top, width, height = map(int, numbers)
    return left, top, width, height


def _steps(steps: str) -> list[float]:
    """Return the numbers of steps such as `0.5,1,2`. Raises ElicError for anything else."""
    try:
        return [nearest_step(float(step)) for step in steps.split(",")]
    except ValueError:
        raise ElicError(f"--steps {steps}: it must be numbers with commas between them, such as 0.5,1,2") from None


def _rate(step: float | None, targets: "dict[Quantity, float | None]") -> "float | Target":
    """Return the step or the target that was asked for. Raises ElicError if there are several."""
    from elic_runtime.rates import Target

    chosen: list[float | Target] = [Target(name, value) for name, value in targets.items() if value is not None]
    chosen += [] if step is None else [nearest_step(step)]
    if len(chosen) > 1:
        raise ElicError("--step, --bytes, --bpp and --psnr all choose the step: use one of them")
    return chosen[0] if chosen else 1.0


def _note(lines: list[str]) -> None:
    """Print notes about the files that were left out. Call this after the arguments were checked."""
    for line in lines:
        note(line)
