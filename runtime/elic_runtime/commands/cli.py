"""The `elic` command: photographs to `.elic` files and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from elic_runtime.commands.console import (
    BAD_INPUT,
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
from elic_runtime.commands.jobs import pair, run_jobs
from elic_runtime.commands.options import (
    AtOnceOption,
    BundleOption,
    EngineOption,
    FileArgument,
    ForceOption,
    HaloOption,
    JobsOption,
    JsonOption,
    Kept,
    Padding,
    PartialOption,
    PictureArgument,
    RayAddressOption,
    ResizeOption,
    RunnerOption,
    Share,
    ThreadsOption,
    box_of,
    named_bundle,
    rate_of,
    steps_of,
)
from elic_runtime.commands.streams import write_output
from elic_runtime.engines import make_engine
from elic_runtime.environment import BUNDLE_VARIABLE
from elic_runtime.errors import ElicError
from elic_runtime.metadata import KINDS
from elic_runtime.plain_json import dumps
from elic_runtime.runners import ONNXRUNTIME
from elic_runtime.steps import MAX_STEP, MIN_STEP
from elic_runtime.windows import DEFAULT_HALO

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Compress photographs with an exported ELIC bundle, and decompress them again.\n\n"
    "Export a bundle with elic-export. Folders work where files do.\n\n"
    "Exit codes: 0 if done, 1 if a check failed, 2 for wrong usage or bad input.",
)


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
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Image, folder of images, URL of either, or - for standard input.")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="File to write, a folder if IN is a folder, URL of either, or - for standard output."
        ),
    ],
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle", envvar=BUNDLE_VARIABLE, show_envvar=False, help="Folder of the exported bundle, or its URL."
        ),
    ] = None,
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
    resized: ResizeOption = None,
    tiles: Annotated[
        bool,
        typer.Option("--tiles", help="Code an image that is larger than the graphs in tiles of their own, with seams."),
    ] = False,
    halo: HaloOption = DEFAULT_HALO,
    at_once: AtOnceOption = None,
    engine: EngineOption = "threads",
    ray_address: RayAddressOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep files in the output folder that are whole, of this bundle and step, and not older than their "
            "image.",
        ),
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compress an image, or every image of a folder.

    RGB, grey, palette and 16-bit photographs of up to 134 megapixels are read, and rounded to 8 bits. Their orientation
    is applied; RGB pictures keep their colour profile, and the colours of others are converted to sRGB.
    """
    from elic_runtime.commands.coding_jobs import CompressJob
    from elic_runtime.container import SUFFIX
    from elic_runtime.engines.storage import images_in, place
    from elic_runtime.images.resizing import parse_size

    kept = set({"all": KINDS, "icc": ["icc"], "none": []}[metadata]) - ({"icc"} if srgb else set())
    chosen = make_engine(engine, at_once, threads, ray_address)
    job = CompressJob(
        bundle or str(named_bundle(None)),
        rate=rate_of(step, {"bytes": size, "bpp": bpp, "psnr": psnr}),
        keep=frozenset(kept),
        tiles=tiles,
        runner=runner,
        threads=chosen.threads,
        halo=halo,
        resize=None if resized is None else parse_size(resized),
        resume=resume,
    )
    left_out: list[str] = []
    images = images_in(place(source), left_out.append)
    pairs = pair(place(source), place(target), images, (SUFFIX,), force or resume)
    _note(left_out)
    run_jobs(pairs, job, "compress", chosen, as_json)


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
    from elic_runtime.commands.coding_jobs import DecompressJob
    from elic_runtime.images import WRITABLE, container_files

    box = None if region is None else box_of(region)
    left_out: list[str] = []
    pairs = pair(source, target, container_files(source, left_out.append), WRITABLE, force)
    _note(left_out)
    job = DecompressJob(named_bundle(bundle), box, slices, partial, runner, threads, halo)
    run_jobs(pairs, job, "decompress", make_engine("threads", at_once), as_json)


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
    from elic_runtime.commands.coding_jobs import ThumbnailJob
    from elic_runtime.images import WRITABLE, container_files

    left_out: list[str] = []
    pairs = pair(source, target, container_files(source, left_out.append), WRITABLE, force)
    _note(left_out)
    job = ThumbnailJob(named_bundle(bundle), int(size.removeprefix("1/")), partial, threads)
    run_jobs(pairs, job, "thumbnail", make_engine("threads", at_once), as_json)


@app.command()
@one_line_errors(ElicError)
def info(
    path: Annotated[
        Path, typer.Argument(metavar="FILE_OR_DIR", help="An .elic file, folder of a bundle, or - for standard input.")
    ],
    graph: Annotated[
        Path | None,
        typer.Option(metavar="OUT.svg", help="File to draw a bundle's subgraphs to; - for standard output."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe an .elic file or a bundle.

    All bytes of a file are checked; its bundle is not needed. --graph draws a bundle besides: its subgraphs, what each
    computes and holds, the tensors between them, and what runs on the CPU.
    """
    from elic_runtime.commands.info import (
        bundle_facts,
        check_graph,
        container_facts,
        print_bundle,
        print_container,
        write_graph,
    )
    from elic_runtime.commands.streams import STREAM

    if graph is not None:
        check_graph(path, graph)
    gather, show = (bundle_facts, print_bundle) if path.is_dir() else (container_facts, print_container)
    facts = gather(path)
    if graph is not None:
        write_graph(path, graph)
    if graph == STREAM:
        return
    if as_json:
        print_json(facts)
    else:
        show(facts, console())


@app.command("eval")
@one_line_errors(ElicError)
def evaluate(
    images: Annotated[Path, typer.Option("--images", help="Photograph, or folder of photographs.")],
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            "--bundle", envvar=BUNDLE_VARIABLE, show_envvar=False, help="Folder of a bundle; may be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write report.html, results.json and results.csv to. What a run that was stopped has "
            "measured is taken from there."
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="STEP,...",
            help="How coarsely to round, one after the other, such as 0.5,1,2. The default is 1; a report has six.",
        ),
    ] = None,
    anchors: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Other codecs, at rates that match: jpeg, webp, avif, jxl; none. The default of a report is all that "
            "are installed.",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Codec that BD-rates compare the others with; the first anchor by default.")
    ] = None,
    resized: ResizeOption = None,
    pictures: Annotated[int, typer.Option(min=0, help="How many photographs a report shows closely.")] = 8,
    padding: Annotated[
        Padding, typer.Option(help="Where an image is padded if a no-entropy graph does not take its size.")
    ] = "bottom-right",
    runner: RunnerOption = ONNXRUNTIME,
    threads: ThreadsOption = 0,
    at_once: AtOnceOption = None,
    engine: EngineOption = "threads",
    ray_address: RayAddressOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a report of another evaluation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure rate and distortion of photographs coded with bundles, at every step, and their means.

    The rate of a no-entropy bundle is that of its likelihoods; the rate of any other bundle is that of its files. With
    --out, other codecs are measured too, and a page shows curves and pictures. A photograph that cannot be coded is
    reported, and the exit code is then 2.
    """
    from elic_runtime.commands.evaluate import evaluate as run
    from elic_runtime.commands.evaluate import labelled, make_plan, print_means, print_report, write_report
    from elic_runtime.evaluation.store import PAGE
    from elic_runtime.images import image_files

    chosen = make_engine(engine, at_once, threads, ray_address)
    plan = make_plan(
        labelled(bundle or [named_bundle(None)]),
        steps=None if steps is None else tuple(steps_of(steps)),
        anchors=anchors,
        resized=resized,
        out=out,
        padding=padding,
        runner=runner,
        threads=chosen.threads,
    )
    report = run(plan, image_files(images, note), chosen, out=out, closely=pictures, anchor=against, fresh=force)
    if out is not None:
        write_report(report, plan.bundles, out)
    if as_json:
        print_json(report.facts())
    elif out is not None:
        print_means(report, console(), out / PAGE)
    else:
        print_report(report, console())
    if not report.verdict.passed:
        raise typer.Exit(BAD_INPUT)


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


def _note(lines: list[str]) -> None:
    """Print notes about the files that were left out. Call this after the arguments were checked."""
    for line in lines:
        note(line)
