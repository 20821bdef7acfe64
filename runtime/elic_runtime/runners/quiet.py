"""Keep what engines print as they load away from stdout, which may be a file that is being written."""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly() -> Iterator[None]:
    """Hold back what is printed to stdout, also by libraries in C. If the block fails, it appears on stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 1)
        try:
            yield
        except BaseException:
            _flush_c()
            said.seek(0)
            os.write(2, said.read())
            raise
        finally:
            _flush_c()
            os.dup2(kept, 1)
            os.close(kept)


def _flush_c() -> None:
    """Write out what C libraries hold back for a stdout that is not a terminal."""
    libc = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
    libc.fflush(None)
