"""Write the inputs of compilers into a bundle's folder `targets/`, from its manifest and the templates of this package.

Names, files and shapes come from the manifest, so they agree with the graphs. Each target decides which graphs its tool
gets. Subgraphs that decide symbols in exact arithmetic need float32, so no tool without float32 gets them.
"""

import shlex
from pathlib import Path
from typing import Any

import jinja2
from elic_runtime.entries import TargetFile
from elic_runtime.files import sha256_file
from elic_runtime.manifest import TARGETS_NAME, Manifest

from elic_export.errors import ExportError
from elic_export.targets.graph import graphs_of
from elic_export.targets.registry import all_targets
from elic_export.targets.target import Plan, Target

README_NAME = "README.md"
"""Name of the README in `targets/`."""

_MACROS = '{% from "macros.j2" import names %}'
"""Import of the macro that a target's section of the README can use."""


def write_targets(manifest: Manifest, folder: Path) -> tuple[TargetFile, ...]:
    """Write the compiler inputs of a bundle.

    Parameters
    ----------
    manifest : Manifest
        Manifest of the bundle.
    folder : Path
        Folder of the bundle, which contains the graphs already.

    Returns
    -------
    tuple of TargetFile
        Entries of the written files for the manifest.

    Raises
    ------
    OSError
        If a file cannot be written.

    """
    environment, graphs = _environment(), graphs_of(manifest)
    whole = {"manifest": manifest, "graphs": graphs, "deciding": [graph for graph in graphs if graph.decides_symbols]}
    written: list[str] = []
    sections: list[dict[str, Any]] = []

    def write(path: str, template: str, **given: Any) -> None:
        text = environment.get_template(template).render(given)
        written.append(_write(folder, f"{TARGETS_NAME}/{path}", text))

    for target in all_targets():
        plan = target.plan(graphs, manifest.arithmetic)
        context = _context(target, plan, folder)
        for path, template, more in plan.outputs():
            write(path, template, **context, **more)
        text = environment.from_string(_MACROS + target.readme).render(context | whole)
        sections.append({"title": target.title, "plan": plan, "text": text.strip()})
    write(README_NAME, "README.md.j2", sections=sections, **whole)
    return tuple(TargetFile(file=path, sha256=sha256_file(folder / path)) for path in written)


def write_script(target: Target, manifest: Manifest, folder: Path) -> Path:
    """Write the script that compiles graphs with one tool, where a bundle has it: in `targets/TOOL`.

    Parameters
    ----------
    target : Target
        The tool, whose `compilation` says how the script is run.
    manifest : Manifest
        A manifest whose subgraphs are the graphs to compile.
    folder : Path
        Their folder.

    Returns
    -------
    Path
        The script.

    """
    plan = target.plan(graphs_of(manifest), manifest.arithmetic)
    wanted = target.script or (target.output, target.template)
    for path, template, more in plan.outputs():
        if Path(path).name == wanted[0]:
            text = _environment().get_template(template).render(_context(target, plan, folder) | more)
            return folder / _write(folder, f"{TARGETS_NAME}/{path}", text)
    raise ExportError(f"{target.tool}: it takes no graph of this bundle")


def _context(target: Target, plan: Plan, folder: Path) -> dict[str, Any]:
    """Return the variables of all templates of a tool."""
    compilation = target.compilation
    return {
        "plan": plan,
        "graphs": plan.graphs,
        "unfit": plan.unfit,
        "kept": plan.kept,
        "platforms": compilation.platforms if compilation else (),
        "precisions": compilation.stored if compilation else (),
        **target.context(plan, folder),
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, JSON, scripts and Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = shlex.quote
    environment.globals["zip"] = zip
    return environment


def _write(folder: Path, path: str, text: str) -> str:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")
    if file.suffix == ".sh":
        file.chmod(0o755)
    return path
