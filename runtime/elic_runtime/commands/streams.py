"""Reading and writing the files of the command line, where `-` is standard input or output."""

import sys
from pathlib import Path

from elic_runtime.engines.storage import Place, write_whole
from elic_runtime.errors import ElicError

STREAM = Path("-")
"""Standard input or output."""

_NAMES = {False: "standard input", True: "standard output"}


def name_of(path: Place, *, output: bool = False) -> str:
    """Return the name of a file for messages."""
    return _NAMES[output] if path == STREAM else str(path)


def read_input(path: Place) -> bytes:
    """Read all bytes of a file, or of standard input. Raises OSError, and StorageError for a URL."""
    return sys.stdin.buffer.read() if path == STREAM else path.read_bytes()


def write_output(path: Place, data: bytes) -> None:
    """Write a file whole or not at all, or write to standard output. Raises OSError, and ElicError for a terminal."""
    if path != STREAM:
        write_whole(path, data)
        return
    if sys.stdout.isatty():
        raise ElicError("standard output is a terminal, which cannot show binary data: name a file, or redirect it")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, _NAMES[True]) from None
