"""The `elic` command: photographs to `.elic` files and back."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from elic_runtime.commands.console import (
    BAD_INPUT,
    CHECK_FAILED,
    console,
    describe,
    fail,
    note,
    one_line_errors,
    print_json,
    print_version,
    progress,
    run_app,
)
from elic_runtime.commands.streams import STREAM, name_of, read_input, write_output
from elic_runtime.errors import ElicError, ImageError

if TYPE_CHECKING:
    from elic_runtime.file_coding import CodedFile

BUNDLE_VARIABLE = "ELIC_BUNDLE"
"""The environment variable that stands for `--bundle`."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Compress photographs with an exported ELIC bundle, and decompress them again.\n\n"
    "Export a bundle with elic-export. Folders work where files do.\n\n"
    "Exit codes: 0 done, 1 a check failed, 2 bad usage or input.",
)

BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", envvar=BUNDLE_VARIABLE, show_envvar=False, help="Folder of the exported bundle."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON instead of a table.")]
ThreadsOption = Annotated[int, typer.Option(min=0, max=256, help="Threads per operator; 0: one per core.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what a folder of outputs holds.")]
Padding = Literal["bottom-right", "centre"]
Facts = dict[str, Any]


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What the command does whatever is asked of it: its help is the app's."""


@app.command()
@one_line_errors(ElicError)
def compress(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image, folder of images, or - for standard input.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, folder for a folder, or -.")],
    bundle: BundleOption = None,
    coder: Annotated[str, typer.Option(help="Entropy coder: constriction, or compressai.")] = "constriction",
    threads: ThreadsOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compress an image, or every image of a folder.

    RGB, grey, palette and 16-bit photographs of any size up to 134 megapixels; orientation is applied, embedded colour
    profiles are converted to sRGB.
    """
    from elic_runtime.codec import Codec
    from elic_runtime.container import SUFFIX
    from elic_runtime.file_coding import compress_photograph
    from elic_runtime.images import decode_photograph, image_files, read_photograph

    left_out: list[str] = []
    jobs = _jobs(source, target, image_files(source, left_out.append), (SUFFIX,), force)
    _note(left_out)
    codec = Codec.load(_bundle(bundle), decode=False, coder=coder, threads=threads)

    def run(path: Path, out: Path) -> Facts:
        photograph = decode_photograph(read_input(path), name_of(path)) if path == STREAM else read_photograph(path)
        data, coded = compress_photograph(codec, photograph)
        write_output(out, data)
        return _facts(path, out, coded) | {"converted_from": coded.converted_from}

    _run_jobs(jobs, run, "compress", as_json)


@app.command()
@one_line_errors(ElicError)
def decompress(
    source: Annotated[Path, typer.Argument(metavar="IN", help=".elic file, folder of them, or - for standard input.")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Image to write (.png, .tif, .bmp, .ppm), folder for a folder, or - (PNG)."),
    ],
    bundle: BundleOption = None,
    threads: ThreadsOption = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decompress an .elic file, or every one of a folder.

    A file that is damaged, or was written with another bundle, is refused; nothing is written for it.
    """
    from elic_runtime.codec import Codec
    from elic_runtime.file_coding import decompress_data
    from elic_runtime.images import WRITABLE, container_files

    left_out: list[str] = []
    jobs = _jobs(source, target, container_files(source, left_out.append), WRITABLE, force)
    _note(left_out)
    codec = Codec.load(_bundle(bundle), encode=False, threads=threads)

    def run(path: Path, out: Path) -> Facts:
        data, coded = decompress_data(codec, read_input(path), out.suffix or WRITABLE[0])
        write_output(out, data)
        return _facts(path, out, coded)

    _run_jobs(jobs, run, "decompress", as_json)


@app.command()
@one_line_errors(ElicError)
def info(
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_DIR", help=".elic file, folder of a bundle, or -.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a file or a bundle is. A file is checked whole, without its bundle."""
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
    images: Annotated[Path, typer.Option("--images", help="Photograph, or folder of them.")],
    bundle: BundleOption = None,
    padding: Annotated[
        Padding, typer.Option(help="Where an image is continued that the graph does not take.")
    ] = "bottom-right",
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """PSNR and bits per pixel of each photograph, and their means.

    A no-entropy bundle gives its likelihoods' rate, a codec's bundle the size of its real files.
    """
    from elic_runtime.bundle import Bundle
    from elic_runtime.commands.evaluate import eval_facts, print_results
    from elic_runtime.commands.evaluate import evaluate as run
    from elic_runtime.images import image_files
    from elic_runtime.runners import onnxruntime_factory

    paths = progress(image_files(images, note), "eval")
    results = run(Bundle(_bundle(bundle)), paths, padding, onnxruntime_factory(threads=threads))
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
    """Check that every backend at hand computes an exact bundle's integers.

    Runs the bundle's known input over each of ONNX Runtime's providers here, with one thread, two, and one per core,
    and with graph optimizations off. Exit code 1 if any gives other integers.
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


def main() -> None:
    """Entry point."""
    run_app(app)


def _bundle(option: Path | None) -> Path:
    """The bundle that was named. Raises ElicError, which says how to name one, and how one is made."""
    if option is None:
        raise ElicError(
            f"no bundle: name its folder with --bundle, or in {BUNDLE_VARIABLE}; elic-export static makes one"
        )
    return option


def _note(lines: list[str]) -> None:
    """What was left out is said once nothing is wrong with what was asked."""
    for line in lines:
        note(line)


def _jobs(
    source: Path, target: Path, inputs: list[Path], suffixes: tuple[str, ...], force: bool
) -> list[tuple[Path, Path]]:
    """Inputs with the files to write, the first suffix being the one that is added.

    Raises ImageError for an output of another ending, two inputs for one output, or,
    without `force`, an output of a folder of inputs that is there already.
    """
    if target == STREAM and not source.is_dir():
        return [(source, target)]
    if not source.is_dir():
        stem = "stdin" if source == STREAM else source.stem
        out = target / f"{stem}{suffixes[0]}" if target.is_dir() else target
        if out.suffix.lower() not in suffixes:
            raise ImageError(f"{out}: the output is a folder that exists, or ends in {', '.join(suffixes)}")
        return [(source, out)]
    if target.is_file() or target == STREAM:
        raise ImageError(f"{name_of(target, output=True)}: a file, where a folder is needed for a folder of inputs")
    jobs = {target / f"{path.stem}{suffixes[0]}": path for path in inputs}
    if len(jobs) < len(inputs):
        clash = next(p for p in inputs if p not in jobs.values())
        raise ImageError(f"{clash}: another input has the same name before its ending: rename one")
    replaced = [out for out in jobs if out.exists()]
    if replaced and not force:
        raise ImageError(f"{replaced[0]}: is there already: choose another folder, or overwrite with --force")
    return [(path, out) for out, path in jobs.items()]


def _run_jobs(jobs: list[tuple[Path, Path]], run: Callable[[Path, Path], Facts], what: str, as_json: bool) -> None:
    """Run every job; those that fail are named, and make the exit code 2."""
    done: list[Facts] = []
    failed = 0
    for path, out in progress(jobs, what):
        try:
            done.append(run(path, out))
        except OSError as error:  # its own message names the file, which may be the output
            failed += 1
            fail(describe(error))
        except ElicError as error:
            failed += 1
            message, name = describe(error), name_of(path)
            fail(message if name in message else f"{name}: {message}")
    # What was written to standard output is not to be mixed with what is said of it.
    file = sys.stderr if any(out == STREAM for _, out in jobs) else sys.stdout
    if as_json:
        print_json(done, file)
    else:
        for facts in done:
            converted = f", colours converted from {facts['converted_from']}" if facts.get("converted_from") else ""
            print(
                f"{facts['output']}: {facts['width']}x{facts['height']}, {facts['bytes']} bytes, "
                f"{facts['bpp']} bpp, {facts['seconds']} s{converted}",
                file=file,
            )
    if failed:
        raise typer.Exit(BAD_INPUT)


def _facts(source: Path, target: Path, coded: "CodedFile") -> Facts:
    return {
        "input": name_of(source),
        "output": name_of(target, output=True),
        "width": coded.width,
        "height": coded.height,
        "bytes": coded.size,
        "bpp": round(coded.bpp, 4),
        "seconds": round(coded.seconds, 3),
    }
