"""Show a parity report to people: tables on the terminal, and `parity.html`."""

from pathlib import Path

from elic_runtime.files import write_bytes
from elic_runtime.manifest import HTML_NAME, REPORT_NAME
from elic_runtime.metrics import format_psnr
from elic_runtime.reports.templates import environment
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from elic_export.parity.report import Report


def write_report(report: Report, folder: Path) -> None:
    """Write `parity.json` and `parity.html` into the folder of a bundle.

    Parameters
    ----------
    report : Report
        The report.
    folder : Path
        The folder.

    Raises
    ------
    OSError
        If a file cannot be written.

    """
    write_bytes(folder / REPORT_NAME, (report.model_dump_json(indent=1) + "\n").encode())
    write_bytes(folder / HTML_NAME, render_html(report).encode())


def print_report(report: Report, console: Console) -> None:
    """Print a report as tables.

    Parameters
    ----------
    report : Report
        The report.
    console : Console
        Where to print it.

    """
    title = f"{report.form} {report.shape}, {report.precision}, {report.arithmetic} context arithmetic"
    graphs = _table(
        f"Graphs against PyTorch: {title}", "subgraph", "tensor", "in", "max abs", "relative", "cosine", "PSNR dB"
    )
    for s in report.subgraphs:
        graphs.add_row(
            s.subgraph,
            s.tensor,
            s.precision,
            f"{s.max_abs_error:.1e}",
            f"{s.relative_error:.1e}",
            f"{s.cosine:.7f}",
            format_psnr(s.psnr_db, 1),
        )
    images = _table(
        "Images: PyTorch's bpp, PSNR in dB and bytes of streams, each beside the file's;\n"
        "8-bit steps between the pictures; cost: file size over float arithmetic's",
        *("image", "bpp", "file", "PSNR", "file", "bytes", "file", "steps", "cost"),
    )
    for i in report.images:
        images.add_row(
            escape(i.image),
            f"{i.torch_bpp:.4f}",
            f"{i.file_bpp:.4f}",
            format_psnr(i.torch_psnr_db),
            format_psnr(i.file_psnr_db),
            str(i.torch_bytes),
            str(i.stream_bytes),
            str(i.file_steps),
            f"{i.rate_cost:+.2%}",
        )
    half = _table(
        "Emulated fp16, rounded after every layer: the file and its picture",
        *("image", "bytes", "fp16", "PSNR dB", "fp16"),
    )
    for i in report.images:
        if i.half_file_bytes is not None and i.half_psnr_db is not None:
            half.add_row(
                escape(i.image),
                str(i.file_bytes),
                str(i.half_file_bytes),
                format_psnr(i.file_psnr_db, 3),
                format_psnr(i.half_psnr_db, 3),
            )
    verdicts = _table("Verdicts", "question", "measured", "accepted", "worst", "verdict")
    for f in report.findings:
        verdict = "[green]pass[/]" if f.passed else "[bold red]FAIL[/]"
        verdicts.add_row(f.question, f"{f.measured:.2e}", f"{f.threshold:.1e}", escape(f.worst), verdict)
    passes = _table(
        "Passes: what differs from PyTorch", "pass", "symbols", "scale indexes differing", "symbols differing"
    )
    for p in report.passes:
        passes.add_row(f"{p.slice} {p.half}", str(p.symbols), str(p.differing_indexes), str(p.differing_symbols))
    exactness = _table("Exactness: what other backends would decode otherwise", "backend", "symbols", "differing")
    for b in report.exactness:
        exactness.add_row(escape(b.backend), str(b.symbols), str(b.differing))
    end_to_end = _table(
        f"End to end, PyTorch and the graph: {title}", *("image", "bpp", "graph", "PSNR dB", "graph", "steps")
    )
    for e in report.end_to_end:
        end_to_end.add_row(
            escape(e.image),
            f"{e.torch_bpp:.4f}",
            "" if e.graph_bpp is None else f"{e.graph_bpp:.4f}",
            format_psnr(e.torch_psnr_db),
            format_psnr(e.graph_psnr_db),
            str(e.graph_steps),
        )
    for table in (graphs, passes, exactness, images, half, end_to_end, verdicts):
        if table.row_count:
            console.print(table, "")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        names = column in ("subgraph", "tensor", "pass", "image", "question")
        table.add_column(column, justify="left" if names or column == "backend" else "right", no_wrap=names)
    return table


def render_html(report: Report) -> str:
    """Render a report as one self-contained HTML page.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        The page.

    """
    made = environment("elic_export.parity")
    made.filters["psnr"] = format_psnr
    return made.get_template("parity.html.j2").render(report=report, passed=report.passed)
