"""What `elic-export bench` prints of a benchmark's result."""

from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from elic_export.benchmark import PARTS, STAGES, Result

BAR_WIDTH = 20


def print_benchmark(result: Result, console: Console) -> None:
    """Print a result as a table.

    Parameters
    ----------
    result : dict
        What `run_benchmark` returned.
    console : Console
        Where to print it.

    """
    title = (
        f"{escape(result['image'])}, {result['height']}x{result['width']} (height x width), "
        f"{_windows(result, 'bundle')}\n"
        f"{result['machine']} with {result['instruction_set']}, {result['threads']} threads, "
        f"runner {result['runner']}, best (median) of {result['rounds']}"
    )
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    sides = ("pytorch", "bundle")
    for column in ("", "PyTorch", "bundle", "ratio", "outside the subgraphs"):
        table.add_column(column, justify="left" if not column else "right")
    for stage in STAGES:
        row = result[stage]
        best, median = row["best_seconds"], row["median_seconds"]
        table.add_row(
            stage,
            *(f"{best[side]:.2f} s ({median[side]:.2f})" for side in sides),
            f"{row['best_ratio']:.2f} ({row['median_ratio']:.2f})",
            f"{row['outside_subgraphs_ms']:.0f} ms",
        )
    peak = result["peak_mb"]
    if all(peak[side] is not None for side in sides):
        memory = f"{peak['pytorch'] / peak['bundle']:.2f}"
        table.add_row("peak memory", *(f"{peak[side]:.0f} MiB" for side in sides), memory, "")
    else:
        table.add_row("peak memory", "not known", "not known", "", "")
    console.print(table)
    _print_dropped(result, console)
    console.print(_parts_table(result))
    deciding = result["deciding_ms"]
    if "against" in deciding:
        bundle, against = deciding["bundle"], deciding["against"]
        console.print(
            f"h_s and context, ms: {bundle['best']:.1f} ({bundle['median']:.1f}), "
            f"against {against['best']:.1f} ({against['median']:.1f}) with {_windows(result, 'against')}, "
            f"ratio {bundle['best'] / against['best']:.2f} ({bundle['median'] / against['median']:.2f})"
        )


def _parts_table(result: Result) -> Table:
    """Return the parts of each stage of the bundle: milliseconds, and bars of one scale."""
    parts = {stage: result[stage]["parts_ms"] for stage in STAGES}
    longest = max(max(each.values()) for each in parts.values())
    table = Table(title="where the bundle's time goes", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("", *(f"{stage}, ms" for stage in STAGES)):
        table.add_column(column, justify="left" if not column else "right")
        if column:
            table.add_column("", width=BAR_WIDTH, no_wrap=True)
    for part, name in PARTS.items():
        cells: list[RenderableType] = [name]
        for stage in STAGES:
            milliseconds = parts[stage][part]
            cells += [f"{milliseconds:.1f}", Bar(longest, 0, milliseconds, width=BAR_WIDTH)]
        table.add_row(*cells)
    return table


def _print_dropped(result: Result, console: Console) -> None:
    """Say how many rounds do not count, or should not."""
    if not result["steady"]:
        console.print("the processor's speed changed during every round: do not rely on these numbers")
    elif result["rounds_dropped"]:
        console.print(f"{result['rounds_dropped']} more rounds do not count: the processor's speed changed during them")


def _windows(result: Result, side: str) -> str:
    windows = result["windows"][side]
    kind = "window" if windows["count"] == 1 else "windows"
    return f"{windows['count']} {kind} of {windows['height']}x{windows['width']}"
