"""What the command lines of both packages share: one-line errors, exit codes, progress bars and JSON.

Results go to stdout, everything else to stderr. The exit code is 0 if the command is done, 1 if a check failed, and 2
for wrong usage or bad input.
"""

import functools
import io
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TextIO, TypeVar, cast

import typer
from rich.console import Console
from rich.progress import Progress, track

from elic_runtime.plain_json import dumps

CHECK_FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143

PIPE_WIDTH = 200
"""Width in columns of output that does not go to a terminal: enough for every table."""

errors = Console(stderr=True)


def console() -> Console:
    """Return the console for results. A pipe gets whole lines, whatever the width of the terminal."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__bases__[0])
"""`UsageError` of click, or of the copy of click in newer versions of typer, which exports only the subclass."""


def one_line_errors(*kinds: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a command so that expected exceptions become one line on stderr and exit code 2.

    Parameters
    ----------
    *kinds : type
        The expected exceptions, in addition to OSError.

    """
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
    """Run a command line and exit. Wrong usage is reported in one line too.

    Parameters
    ----------
    app : Typer
        The command line.

    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names that the terminal cannot show
    # SIGTERM ends the program as an exception does, so that no partial file stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        sys.exit(app(standalone_mode=False))
    except _UsageError as error:
        if len(sys.argv) < 2:
            sys.exit(BAD_INPUT)  # without a command, typer printed the help
        fail(f"{' '.join(error.format_message().split())} See {Path(sys.argv[0]).name} --help.{_hint(sys.argv[1:])}")
        sys.exit(BAD_INPUT)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)


def _hint(args: list[str]) -> str:
    """Return a hint if an argument that was taken for an option seems to be a file name."""
    names = [arg for arg in args if arg.startswith("-") and arg.strip("-") and (Path(arg).suffix or Path(arg).exists())]
    return f" If {names[0]} is a file, write ./{names[0]}" if names else ""


def describe(error: Exception) -> str:
    """Describe an exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"this needs the package {error.name}: install the extra, elic-deploy[export]"
    return " ".join(str(error).split()) or type(error).__name__


def print_version(asked: bool) -> None:
    """Print the version, and what codes symbols, and exit, if `asked`: the callback of the option `--version`."""
    if asked:
        from elic_runtime.coder import make_coder

        print(f"{version('elic-deploy')} (entropy coder in {make_coder().name})")
        raise typer.Exit


def fail(message: str) -> None:
    """Print an error message of one line to stderr."""
    print(f"error: {message}", file=sys.stderr)


def note(message: str) -> None:
    """Print a note of one line to stderr."""
    print(f"note: {message}", file=sys.stderr)


def progress(items: Sequence[T], what: str) -> Iterable[T]:
    """Iterate over items, with a progress bar if there are several and stderr is a terminal.

    Parameters
    ----------
    items : sequence
        What to iterate over.
    what : str
        Description before the bar.

    """
    if len(items) < 2:
        return items
    return track(items, description=what, console=errors, disable=not errors.is_terminal, transient=True)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much of one thing is done, if stderr is a terminal.

    Parameters
    ----------
    what : str
        Description before the bar.

    Yields
    ------
    callable
        Takes how many parts are done, and how many there are.

    """
    with Progress(console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_json(content: Any, file: TextIO | None = None) -> None:
    """Print content as JSON, to stdout by default. NaN and infinities become strings: see `plain_json.py`."""
    print(dumps(content), file=file)
