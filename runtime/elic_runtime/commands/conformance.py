"""`elic conformance`: run an exact bundle's known input with every available provider and setting of ONNX Runtime."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.bundle import Bundle
from elic_runtime.conformance import first_difference, load_deciding
from elic_runtime.errors import BundleError
from elic_runtime.runners import OnnxRuntime, onnxruntime_factory

REMOTE = frozenset({"AzureExecutionProvider"})
"""Providers that send data to a remote service; none of them runs a bundle's operators."""

Progress = Callable[[list[OnnxRuntime]], Iterable[OnnxRuntime]]


@dataclass(frozen=True)
class SettingResult:
    """The result of one setting of a backend.

    Parameters
    ----------
    backend : str
        Name of the backend and its setting.
    differs : str, optional
        The first subgraph that computes other integers; None if all are exact.
    problem : str, optional
        The reason why the setting could not be checked; None if it was.
    milliseconds : float, optional
        Time to run the known input, without loading the subgraphs.

    """

    backend: str
    differs: str | None
    problem: str | None
    milliseconds: float | None


def settings_at_hand() -> list[OnnxRuntime]:
    """List every available provider of ONNX Runtime, each with the usual settings of threads and optimizations."""
    providers = [name for name in onnxruntime.get_available_providers() if name not in REMOTE]
    return [
        onnxruntime_factory(provider, threads, optimize=optimize)
        for provider in providers
        for threads, optimize in ((0, True), (1, True), (2, True), (2, False))
    ]


def check_settings(bundle: Bundle, progress: Progress = iter) -> list[SettingResult]:
    """Check each available setting of ONNX Runtime.

    Parameters
    ----------
    bundle : Bundle
        A bundle of exact arithmetic.
    progress : callable
        Wraps the list of settings while it is iterated over, to show progress.

    Raises
    ------
    BundleError
        If the bundle is not exact, or a file of it is missing or was changed.

    """
    medians = bundle.tables().medians
    results = [_check(bundle, factory, medians) for factory in progress(settings_at_hand())]
    if all(result.problem for result in results):
        raise BundleError(results[0].problem or f"{bundle.folder}: no backend is available")
    return results


def _check(bundle: Bundle, factory: OnnxRuntime, medians: NDArray[np.float32]) -> SettingResult:
    try:
        runners = load_deciding(bundle, factory)
        start = time.perf_counter()
        differs = first_difference(bundle, runners, medians)
    except BundleError as error:
        return SettingResult(str(factory), None, str(error), None)
    return SettingResult(str(factory), differs, None, round(1000 * (time.perf_counter() - start), 1))


def print_settings(results: list[SettingResult], console: Console) -> None:
    """Print the results as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("backend", "known input", "ms"):
        table.add_column(column, justify="right" if column == "ms" else "left")
    for result in results:
        verdict = result.problem or (f"differs from {result.differs} on" if result.differs else "exact")
        milliseconds = "" if result.milliseconds is None else f"{result.milliseconds:.0f}"
        table.add_row(escape(result.backend), escape(verdict), milliseconds)
    console.print(table)
