"""Silencing the messages of decoding libraries, since this project's exceptions say what is wrong."""

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
    """Suppress the warnings and log messages of Python libraries, which they emit for correctly read files too."""
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
    """Suppress what C libraries write to the process's stderr, such as messages of libtiff that Pillow does not catch.

    Only one thread at a time runs the block: two threads that restore stderr in the wrong order would lose it.
    """
    with _LOCK:
        try:
            sys.stderr.flush()
            kept = os.dup(_STDERR)
        except (OSError, AttributeError):  # the process has no stderr
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
