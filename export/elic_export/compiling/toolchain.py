"""A compiler where it is installed, and running it so that neither a crash nor a hang of it is one of this program."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from elic_export.errors import ExportError
from elic_export.targets.compilation import Compilation
from elic_export.targets.target import Target

CHECKOUT = Path(__file__).resolve().parents[3]


class NotInstalledError(ExportError):
    """A compiler is not installed."""


def find_python(tool: str, compilation: Compilation) -> Path:
    """Return the interpreter that has a compiler.

    Parameters
    ----------
    tool : str
        Name of the tool. The variable ELIC_TOOL_PYTHON, with its name in capitals, may name another interpreter.
    compilation : Compilation
        How it is compiled with.

    Raises
    ------
    NotInstalledError
        If it is not installed; the message says how to install it.

    """
    variable = f"ELIC_{tool.upper()}_PYTHON"
    if compilation.environment is None:
        python = Path(os.environ.get(variable, sys.executable))
    else:
        python = Path(os.environ.get(variable, CHECKOUT / compilation.environment / "bin" / "python"))
    if version_of(python, compilation.distribution) is None:
        raise NotInstalledError(f"{tool}: {compilation.distribution} is not installed: {compilation.install}")
    return python


def version_of(python: Path, distribution: str) -> str | None:
    """Return the version of a distribution that an interpreter has, or None if it has none."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return done.stdout.strip() or None


def run(command: Sequence[str | Path], log: Path, timeout: float, what: str) -> None:
    """Run a command, and add what it prints to a log.

    Parameters
    ----------
    command : sequence of str or Path
        The command.
    log : Path
        The log.
    timeout : float
        Seconds after which it is killed, with all processes that it started.
    what : str
        What it does, for the error message.

    Raises
    ------
    ExportError
        If it fails, is killed, or takes too long. The message ends with the line of the log that says why.

    """
    with log.open("ab") as file:
        start = file.tell()
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S603
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ExportError(f"{what}: killed after {timeout:.0f} s, see --timeout") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code < 0:
        raise ExportError(f"{what}: was killed by {signal.Signals(-code).name}")
    if code:
        said = log.read_bytes()[start:].decode(errors="replace")
        raise ExportError(f"{what}: {_reason(said)}")


def explain(error: ExportError, target: Target, log: Path) -> ExportError:
    """Return an error with the advice that a target has for what its compiler printed.

    Parameters
    ----------
    error : ExportError
        The error.
    target : Target
        The target.
    log : Path
        What the compiler printed.

    """
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    for hint in target.compilation.hints if target.compilation else ():
        found = re.search(hint.pattern, text)
        if found:
            return ExportError(f"{error}: {found.expand(hint.advice)}")
    return error


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_MAX_REASON = 200


def _reason(said: str) -> str:
    """Return the line that says why a command failed: a command of ours, the first with an error, or else the last."""
    lines = [_COLOURS.sub("", line).strip() for line in said.splitlines()]
    lines = [line for line in lines if line]
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    errors = [line for line in lines if re.search(r"\berror\b|Error:|\bfailed\b", line, re.IGNORECASE)]
    reason = (own or errors or lines[-1:] or ["it printed nothing"])[0]
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 4]} ..."
