"""Images of a folder, or a single one: which file is made from which, working on them, and telling the results."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from elic_runtime.commands.console import BAD_INPUT, counting, describe, fail, print_json, progress
from elic_runtime.commands.streams import STREAM, name_of
from elic_runtime.engines import Engine
from elic_runtime.engines.storage import Place
from elic_runtime.errors import ElicError, ImageError

if TYPE_CHECKING:
    from elic_runtime.file_coding import CodedFile

Facts = dict[str, Any]

Pair = tuple[Place, Place]
"""The file to read and the file to write."""


def pair(source: Place, target: Place, inputs: Sequence[Place], suffixes: tuple[str, ...], force: bool) -> list[Pair]:
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
    if not force:
        _refuse_to_replace(target, jobs)
    return [(path, out) for out, path in jobs.items()]


def _refuse_to_replace(folder: Place, outputs: Iterable[Place]) -> None:
    """Raise ImageError if an output is in the folder already, which is listed once for all outputs."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    replaced = next((out for out in outputs if out.name in there), None)
    if replaced is not None:
        raise ImageError(f"{replaced}: exists already: choose another folder, or overwrite it with --force")


def run_jobs(
    jobs: list[Pair], make_run: Callable[[], Callable[..., Facts]], what: str, engine: Engine, as_json: bool
) -> None:
    """Run every job and print its result. Jobs that fail are reported in order, and set the exit code to 2.

    Progress counts the files of a folder, or the windows of one file. Raises ElicError for a stream of this process
    that other processes would have to read or write.
    """
    if not engine.in_process and any(STREAM in job for job in jobs):
        raise ElicError("- stands for a stream of this process: use --engine threads")
    done: list[Facts] = []
    failed = 0
    with counting(what) if len(jobs) == 1 and engine.in_process else nullcontext() as show:
        make = make_run if show is None else lambda: partial(make_run(), progress=show)
        for (path, _), outcome in engine.run(progress(jobs, what), make):
            try:
                done.append(outcome.result())
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


def coding_facts(source: Place, target: Place, coded: "CodedFile") -> Facts:
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
    parts = [f"{facts['output']}: {size}", "kept" if facts.get("kept") else f"{facts['seconds']} s"]
    if facts["step"] != 1:
        parts.append(f"step {facts['step']:.4g}")
    if facts["passes"] < facts["all_passes"]:
        parts.append(f"{facts['passes']} of {facts['all_passes']} passes")
    if facts.get("dropped"):
        parts.append(f"without {', '.join(facts['dropped'])}")
    if facts.get("converted_from"):
        parts.append(f"colours converted from {facts['converted_from']}")
    return ", ".join(parts)
