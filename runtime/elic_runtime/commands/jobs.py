"""Images of a folder, or a single one: which file is made from which, working on them, and telling the results."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from elic_runtime.commands.concurrent import in_order
from elic_runtime.commands.console import BAD_INPUT, counting, describe, fail, print_json, progress
from elic_runtime.commands.streams import STREAM, name_of
from elic_runtime.errors import ElicError, ImageError

if TYPE_CHECKING:
    from elic_runtime.file_coding import CodedFile
    from elic_runtime.progress import Progress

Facts = dict[str, Any]


def pair(
    source: Path, target: Path, inputs: list[Path], suffixes: tuple[str, ...], force: bool
) -> list[tuple[Path, Path]]:
    """Pair each input with the file to write; outputs in a folder get the first suffix.

    Raises ImageError for an output with another suffix, for two inputs with the same output and, without `force`, for
    an output in a folder that exists already.
    """
    if target == STREAM and not source.is_dir():
        return [(source, target)]
    if not source.is_dir():
        stem = "stdin" if source == STREAM else source.stem
        out = target / f"{stem}{suffixes[0]}" if target.is_dir() else target
        if out.suffix.lower() not in suffixes:
            raise ImageError(f"{out}: the output must be an existing folder, or end in {', '.join(suffixes)}")
        return [(source, out)]
    if target.is_file() or target == STREAM:
        raise ImageError(f"{name_of(target, output=True)}: the output of a folder of inputs must be a folder")
    jobs = {target / f"{path.stem}{suffixes[0]}": path for path in inputs}
    if len(jobs) < len(inputs):
        clash = next(p for p in inputs if p not in jobs.values())
        raise ImageError(f"{clash}: another input has the same name apart from its suffix: rename one of them")
    replaced = [out for out in jobs if out.exists()]
    if replaced and not force:
        raise ImageError(f"{replaced[0]}: exists already: choose another folder, or overwrite it with --force")
    return [(path, out) for out, path in jobs.items()]


def run_jobs(
    jobs: list[tuple[Path, Path]],
    run: "Callable[[Path, Path, Progress | None], Facts]",
    what: str,
    at_once: int,
    as_json: bool,
) -> None:
    """Run every job and print its result. Jobs that fail are reported in order, and set the exit code to 2.

    Progress counts the files of a folder, or the windows of one file.
    """
    done: list[Facts] = []
    failed = 0
    with counting(what) if len(jobs) == 1 else nullcontext() as show:
        for (path, _), coded in in_order(progress(jobs, what), lambda job: run(*job, show), at_once):
            try:
                done.append(coded.result())
            except OSError as error:  # the message names the file, which may be the input or the output
                failed += 1
                fail(describe(error))
            except ElicError as error:
                failed += 1
                message, name = describe(error), name_of(path)
                fail(message if name in message else f"{name}: {message}")
    # The results must not be mixed with a file that was written to standard output.
    file = sys.stderr if any(out == STREAM for _, out in jobs) else sys.stdout
    if as_json:
        print_json(done, file)
    else:
        for facts in done:
            print(_line(facts), file=file)
    if failed:
        raise typer.Exit(BAD_INPUT)


def coding_facts(source: Path, target: Path, coded: "CodedFile") -> Facts:
    """Return the result of one image as data for JSON."""
    return {
        "input": name_of(source),
        "output": name_of(target, output=True),
        "width": coded.width,
        "height": coded.height,
        "bytes": coded.size,
        "bpp": round(coded.bpp, 4),
        "step": coded.step,
        "passes": coded.passes,
        "all_passes": coded.all_passes,
        "dropped": list(coded.dropped),
        "seconds": round(coded.seconds, 3),
    }


def _line(facts: Facts) -> str:
    """Return the result of one image as a line for people."""
    size = f"{facts['width']}x{facts['height']}, {facts['bytes']} bytes, {facts['bpp']} bpp"
    parts = [f"{facts['output']}: {size}", f"{facts['seconds']} s"]
    if facts["step"] != 1:
        parts.append(f"step {facts['step']:.4g}")
    if facts["passes"] < facts["all_passes"]:
        parts.append(f"{facts['passes']} of {facts['all_passes']} passes")
    if facts.get("dropped"):
        parts.append(f"without {', '.join(facts['dropped'])}")
    if facts.get("converted_from"):
        parts.append(f"colours converted from {facts['converted_from']}")
    return ", ".join(parts)
