"""What libraries say on their own while they decode: nothing, since this project says what is wrong itself."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_LOCK = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and messages of Python libraries, which are also about files that are read rightly."""
    loggers = [logging.getLogger(name) for name in ("PIL", "tifffile")]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


@contextmanager
def without_stderr() -> Iterator[None]:
    """Without what a C library writes to the process's stderr: libtiff's messages, which Pillow does not catch.

    One thread at a time: two that each put back what they found could lose it.
    """
    with _LOCK:
        try:
            sys.stderr.flush()
            kept = os.dup(_STDERR)
        except (OSError, AttributeError):  # there is none
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            os.close(nowhere)
