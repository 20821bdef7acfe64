"""`elic verify`: what a runner computes from known photographs beside what PyTorch computed, as a table or as JSON."""

import platform
from importlib.metadata import version
from pathlib import Path

from pydantic import computed_field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_runtime.bundle import Bundle
from elic_runtime.entries import GraphPrecision, Precision
from elic_runtime.machine import cores, processor
from elic_runtime.runners import AUTO, ENGINES, RunnerFactory, fastest, open_with
from elic_runtime.verify import Check, Result, RunnerResult, shape_to_verify, verify

_AS_EXPORTED: dict[Precision, GraphPrecision] = {"fp32": "fp32", "mixed": "fp16", "fp16": "fp16", "int8": "int8"}
"""The precision whose limits hold for a bundle's own graphs."""


class VerifyReport(Result):
    """What a person sends back from a device.

    Parameters
    ----------
    program : str
        Version of this program.
    system, processor : str
        The operating system, the machine and its instruction set.
    threads : int
        Threads per operator.
    fingerprint : str
        The bundle's fingerprint.
    shape : str
        Height and width of the photographs in pixels.
    results : tuple of RunnerResult
        The runner that was asked for and, after it, the one that it was compared with.

    """

    program: str
    system: str
    processor: str
    threads: int
    fingerprint: str
    shape: str
    results: tuple[RunnerResult, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether the runner that was asked for passed."""
        return self.results[0].passed


def verify_runners(folder: Path, runner: str, against: str | None, threads: int) -> VerifyReport:
    """Verify one runner and, if `against` names another, that one in turns with it.

    Parameters
    ----------
    folder : Path
        The bundle.
    runner : str
        One of `elic_runtime.runners.RUNNERS`.
    against : str, optional
        Another of them.
    threads : int
        Threads per operator; 0 stands for one per core.

    Raises
    ------
    ElicError
        If a runner is not known or cannot be loaded, or the bundle cannot be verified.

    """
    if runner == AUTO:
        runner = fastest(Bundle(folder).manifest)
    contestants = [_contestant(folder, name, threads) for name in (runner, against) if name is not None]
    results = tuple(verify(contestants))
    bundle = contestants[0][0]
    return VerifyReport(
        program=f"elic-deploy {version('elic-deploy')}",
        system=platform.platform(),
        processor=processor(),
        threads=threads or cores(),
        fingerprint=bundle.manifest.fingerprint,
        shape=str(shape_to_verify(bundle.manifest.encoder)),
        results=results,
    )


def _contestant(folder: Path, name: str, threads: int) -> tuple[Bundle, RunnerFactory, GraphPrecision]:
    bundle, factory = open_with(folder, name, threads=threads)
    compiled = bundle.manifest.compiled.get(name) if name in ENGINES else None
    return bundle, factory, compiled.precision if compiled else _AS_EXPORTED[bundle.manifest.precision]


def print_report(report: VerifyReport, console: Console) -> None:
    """Print a report as a table."""
    first = report.results[0]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"{report.shape}, {report.processor}")
    for result in report.results:
        table.add_column(escape(result.runner), justify="right")
    table.add_column("accepted", justify="right")
    table.add_column("verdict")
    for check in first.checks:
        verdict = "" if check.limit is None else "[green]pass[/]" if check.passed else "[bold red]FAIL[/]"
        limit = "" if check.limit is None else f"{check.limit:.1e}"
        table.add_row(check.question, *(_measured(r, check) for r in report.results), limit, verdict)
    for name in first.seconds:
        times = (f"{1000 * r.seconds[name]:.0f} ms" if name in r.seconds else "" for r in report.results)
        table.add_row(f"{name}: median time", *times)
    table.add_row("load", *(f"{r.load_seconds:.2f} s" for r in report.results))
    console.print(table)


def _measured(result: RunnerResult, check: Check) -> str:
    """Return another runner's answer to the same question."""
    found = next((c for c in result.checks if c.question == check.question), None)
    return "" if found is None else f"{found.measured:.1e}" if found.measured else "0"
