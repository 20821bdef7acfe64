"""Interpreters with a compiler that misbehaves: real ones, but for what they do when they are to compile a graph."""

import os
import sys
import time
from pathlib import Path


def interpreter(folder: Path, *, compiles: str, graph: str = "*", otherwise: str = "", version: str = "") -> Path:
    """A program that stands in for a tool's Python: name it in ELIC_TOOL_PYTHON.

    Instead of the script, it runs the shell commands `compiles` for one graph, and `otherwise` for the others, in which
    $2 is the graph and $4 the folder to write to. For all else it is the real interpreter, but with a `version` it has
    every distribution in that version.
    """
    path = folder / "python"
    real = f'exec "{sys.executable}" "$@"'
    path.write_text(
        "#!/bin/sh\n"
        f'case "$1" in -c) {f"echo {version}; exit" if version else real};; -m) {real};; esac\n'
        f'case "$2" in {graph}) {compiles};; *) {otherwise or ":"};; esac\n'
        f"{real}\n"
    )
    path.chmod(0o755)
    return path


def child_of(noted: Path, timeout: float = 60) -> int:
    """The number of the process that a misbehaving compiler started and noted in a file."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if noted.is_file() and noted.read_text().endswith("\n"):
            return int(noted.read_text())
        time.sleep(0.05)
    raise TimeoutError(f"{noted}: nothing was noted")


def ends(process: int, timeout: float = 20) -> bool:
    """Whether a process ends soon. One that nobody has waited for yet has ended too."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False
