"""Show what was compiled: tables on the terminal, facts for scripts, and a page with before and after side by side."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from elic_runtime.bundle import Bundle
from elic_runtime.commands.verify import VerifyReport, print_report
from elic_runtime.files import write_bytes
from elic_runtime.manifest import TARGETS_NAME
from jinja2 import Environment, select_autoescape
from rich.console import Console

from elic_export.compiling.compile import Compiled

PAGE_NAME = "compiled.html"


def print_compiled(compiled: Compiled, console: Console) -> None:
    """Print what one tool made, and what its runner computed beside ONNX Runtime."""
    target = compiled.target
    names = ", ".join(target.subgraphs)
    rewrites = f", rewrites {', '.join(target.rewrites)}" if target.rewrites else ""
    title = f"{compiled.tool} {target.version} for {target.platform}, {target.precision}: {names}{rewrites}"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    if target.int8:
        console.print(f"in int8: {target.int8}", highlight=False, soft_wrap=True)
    if compiled.report is None:
        console.print("not run: it is for another machine", highlight=False)
    else:
        print_report(compiled.report, console)
    console.print()


def compiled_facts(compiled: Compiled) -> dict[str, Any]:
    """Return what one tool made as JSON values."""
    report = compiled.report.model_dump(mode="json") if compiled.report else None
    return {"target": compiled.tool, **compiled.target.model_dump(mode="json", exclude={"report"}), "report": report}


def write_pages(folder: Path) -> None:
    """Write `targets/compiled.html`, with every compiled target of a bundle.

    Parameters
    ----------
    folder : Path
        The bundle.

    Raises
    ------
    BundleError
        If a recorded file is missing or was changed.
    OSError
        If the page cannot be written.

    """
    bundle = Bundle(folder)
    sections = []
    for tool, target in bundle.manifest.compiled.items():
        text = bundle.file(target.report).read_bytes() if target.report else None
        sections.append((tool, target, VerifyReport.model_validate_json(text) if text else None))
    environment = Environment(autoescape=select_autoescape(default=True))
    source = files("elic_export.compiling").joinpath("compiled.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(manifest=bundle.manifest, sections=sections)
    write_bytes(folder / TARGETS_NAME / PAGE_NAME, page.encode())
