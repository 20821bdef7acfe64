"""`elic conformance`: an exact bundle's known input over every provider and setting of ONNX Runtime at hand."""

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
"""Providers that send data to a service; they run none of a bundle's operators."""

Progress = Callable[[list[OnnxRuntime]], Iterable[OnnxRuntime]]


@dataclass(frozen=True)
class SettingResult:
    """One setting of a backend.

    differs: the first subgraph that gives other integers, None if all are exact.
    problem: why it could not be asked, None if it could. milliseconds: of the known input, without loading.
    """

    backend: str
    differs: str | None
    problem: str | None
    milliseconds: float | None


def settings_at_hand() -> list[OnnxRuntime]:
    """Every provider of this ONNX Runtime, with threads and graph optimizations as users set them."""
    providers = [name for name in onnxruntime.get_available_providers() if name not in REMOTE]
    return [
        onnxruntime_factory(provider, threads, optimize=optimize)
        for provider in providers
        for threads, optimize in ((0, True), (1, True), (2, True), (2, False))
    ]


def check_settings(bundle: Bundle, progress: Progress = iter) -> list[SettingResult]:
    """Ask each of them. Raises BundleError for a bundle that is not exact, or not whole."""
    medians = bundle.tables().medians
    results = [_check(bundle, factory, medians) for factory in progress(settings_at_hand())]
    if all(result.problem for result in results):
        raise BundleError(results[0].problem or f"{bundle.folder}: no backend is at hand")
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
    """The results as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("backend", "known input", "ms"):
        table.add_column(column, justify="right" if column == "ms" else "left")
    for result in results:
        verdict = result.problem or (f"differs from {result.differs} on" if result.differs else "exact")
        milliseconds = "" if result.milliseconds is None else f"{result.milliseconds:.0f}"
        table.add_row(escape(result.backend), escape(verdict), milliseconds)
    console.print(table)
