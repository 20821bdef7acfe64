"""What holds for every target that is registered: the files, the README, a template and a test of its own.

The checks of one tool's files are in `test_target_TOOL.py`. They take a manifest and a bundle's folder, so they
run on any bundle.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import KINDS, written
from elic_export import targets
from elic_export.targets.graph import graphs_of
from elic_export.targets.registry import all_targets
from elic_runtime.manifest import TARGETS_NAME
from expected import deciding, ends, exact
from outputs import readme_of, section, tool_folder

PACKAGE = Path(targets.__file__).parent

every_target = pytest.mark.parametrize("target", all_targets(), ids=lambda target: target.tool)


@every_target
def test_it_has_a_module_and_a_test_of_its_own(target):
    assert type(target).__module__ == f"{targets.__name__}.{target.tool}"
    assert Path(__file__).with_name(f"test_target_{target.tool}.py").is_file()


def test_every_template_is_some_target_s():
    shared = {"README.md.j2", "macros.j2"}
    templates = [target.template for target in all_targets()]
    templates += [target.script[1] for target in all_targets() if target.script is not None]
    assert {path.name for path in PACKAGE.glob("*.j2")} - shared == set(templates)
    assert len(set(templates)) == len(templates)


def test_every_test_of_a_tool_is_some_target_s():
    tests = {path.stem.removeprefix("test_target_") for path in Path(__file__).parent.glob("test_target_*.py")}
    assert tests == {target.tool for target in all_targets()}


def test_finding_the_targets_imports_no_pytorch():
    code = (
        "import sys; from elic_export.targets.registry import all_targets; assert all_targets(); "
        "print(*sorted({'torch', 'compressai'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@every_target
def test_its_folder_holds_the_files_of_its_plan(bundle, target):
    manifest, folder = bundle
    plan = target.plan(graphs_of(manifest), manifest.arithmetic)
    there = [path for path in tool_folder(folder, target.tool).rglob("*") if path.is_file()]
    found = {path.relative_to(folder / TARGETS_NAME).as_posix() for path in there}
    assert found == set(plan.files)
    assert len(plan.files) == len(found)


@every_target
def test_every_graph_is_taken_or_left_out(bundle, target):
    """Each for one reason."""
    manifest, _ = bundle
    graphs = graphs_of(manifest)
    plan = target.plan(graphs, manifest.arithmetic)
    sorted_ = [graph.name for graph in (*plan.graphs, *plan.unfit, *plan.kept, *plan.moving)]
    assert sorted(sorted_) == sorted(manifest.subgraphs)
    if not target.float32:
        assert not {graph.name for graph in plan.graphs} & exact(manifest)


def test_it_returns_what_it_wrote_and_no_more(bundle):
    manifest, folder = bundle
    there = {path.relative_to(folder).as_posix() for path in (folder / TARGETS_NAME).rglob("*") if path.is_file()}
    assert there == {target.file for target in manifest.targets}
    assert len(manifest.targets) == len(there)


def test_no_file_has_a_template_s_leftovers(bundle):
    manifest, folder = bundle
    for path in (target.file for target in manifest.targets):
        text = (folder / path).read_text(encoding="utf-8")
        assert not re.search(r"\{\{|\}\}|\{%|%\}|Undefined|TensorInfo\(|<generator", text), path
        assert "\n\n\n" not in text or path.endswith(".py"), path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        if not path.endswith(".md"):
            assert max(map(len, text.splitlines())) <= 160, path


def test_readme(bundle):
    manifest, folder = bundle
    readme = readme_of(folder)
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert {f"{TARGETS_NAME}/{link}" for link in links} | {f"{TARGETS_NAME}/README.md"} == {
        target.file for target in manifest.targets
    }
    for name, shapes in ends(manifest, folder).items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` |"))
        for tensor, (low, high) in shapes.items():
            assert f"`{tensor}` {'x'.join(map(str, low))}" in row
            assert "x".join(map(str, high)) in row
    for name in deciding(manifest):
        assert f"`{name}`" in section(folder, "What may be rounded, and what not")


@every_target
def test_its_section_of_the_readme_names_its_files(bundle, target):
    manifest, folder = bundle
    text = section(folder, target.title)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links == list(target.plan(graphs_of(manifest), manifest.arithmetic).files)
    assert ("Nothing is written" in text) == (not links)


@pytest.mark.parametrize("tool", [target.tool for target in all_targets() if not target.float32], ids=lambda tool: tool)
def test_exact_subgraphs_go_only_to_tools_with_float32(tmp_path, tool):
    """Anything named in the file of another tool is a comment."""
    manifest, folder = written(tmp_path / "bundle", **KINDS["static"])
    assert len(deciding(manifest)) == 11
    for path in tool_folder(folder, tool).glob("*"):
        assert path.stem not in deciding(manifest)
        code = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
        assert not re.search(r"\bh_s\b|context_\d", code), path
