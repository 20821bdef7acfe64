"""What both command lines share: one-line errors, exit codes, progress, JSON.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a check failed,
2 bad usage or input.
"""

import functools
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TextIO, TypeVar, cast

import typer
from rich.console import Console
from rich.progress import track

from elic_runtime.plain_json import dumps

CHECK_FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

PIPE_WIDTH = 200
"""Columns where there is no terminal to say: wide enough for every table."""

errors = Console(stderr=True)


def console() -> Console:
    """Where results are printed: a pipe gets whole lines, whatever a terminal would have room for."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__bases__[0])
"""Of click, or of the copy of it that newer typer carries: typer exports only the subclass."""


def one_line_errors(*kinds: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn these exceptions, and those of the file system, into a line on stderr and exit code 2."""
    expected: tuple[type[Exception], ...] = (*kinds, OSError)

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except expected as error:
                fail(describe(error))
                raise typer.Exit(BAD_INPUT) from None

        return run

    return decorate


def run_app(app: typer.Typer) -> None:
    """Run a command line to its end: wrong usage is one line too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    try:
        sys.exit(app(standalone_mode=False))
    except _UsageError as error:
        if len(sys.argv) < 2:
            sys.exit(BAD_INPUT)  # no command: the help was printed
        fail(f"{' '.join(error.format_message().split())} See {Path(sys.argv[0]).name} --help.{_hint(sys.argv[1:])}")
        sys.exit(BAD_INPUT)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)


def _hint(args: list[str]) -> str:
    """For names of files that were taken for options."""
    names = [arg for arg in args if arg.startswith("-") and arg.strip("-") and (Path(arg).suffix or Path(arg).exists())]
    return f" If {names[0]} is a file, write ./{names[0]}" if names else ""


def describe(error: Exception) -> str:
    """An exception as one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"this needs the package {error.name}: install the extra, elic-deploy[export]"
    return " ".join(str(error).split()) or type(error).__name__


def print_version(asked: bool) -> None:
    """For the option `--version` of both commands: print the version and end."""
    if asked:
        print(version("elic-deploy"))
        raise typer.Exit


def fail(message: str) -> None:
    """Write one line of error."""
    print(f"error: {message}", file=sys.stderr)


def note(message: str) -> None:
    """Write one line that is no error."""
    print(f"note: {message}", file=sys.stderr)


def progress(items: Sequence[T], what: str) -> Iterable[T]:
    """Items with a progress bar on stderr, if there are several and somebody is looking."""
    if len(items) < 2:
        return items
    return track(items, description=what, console=errors, disable=not errors.is_terminal, transient=True)


def print_json(content: Any, file: TextIO | None = None) -> None:
    """Facts for scripts, on stdout by default: always JSON, see `plain_json.py`."""
    print(dumps(content), file=file)
