"""Rockchip's script: run with an RKNN that notes its calls."""

import re
import sys
import types
from pathlib import Path
from typing import ClassVar

import onnx
import pytest
from bundles import KINDS, written
from expected import ends, exact, is_open
from outputs import KEPT, graph_at, load_script, run_main, section, tool_folder


class NotingRknn:
    """rknn.api.RKNN, as far as the script uses it."""

    calls: ClassVar[list] = []
    fails = False

    def __getattr__(self, name):
        def note(*arguments, **keywords):
            self.calls.append((name, arguments, keywords))
            return -1 if self.fails and name == "build" else 0

        return note


@pytest.fixture
def rknn(monkeypatch):
    monkeypatch.setattr(NotingRknn, "calls", [])
    monkeypatch.setitem(sys.modules, "rknn", types.ModuleType("rknn"))
    monkeypatch.setitem(sys.modules, "rknn.api", types.SimpleNamespace(RKNN=NotingRknn))
    return NotingRknn


def test_rknn(bundle, rknn, monkeypatch, tmp_path):
    manifest, folder = bundle
    shapes = ends(manifest, folder)
    script = load_script(folder, "rknn/convert.py")
    assert list(script.GRAPHS) == [name for name in shapes if name not in exact(manifest)]
    run_main(script, monkeypatch, "--platform", "rk3576", "--out", tmp_path / "out")
    steps = {"config": [], "load_onnx": [], "build": [], "export_rknn": [], "release": []}
    for step, arguments, keywords in rknn.calls:
        steps[step].append((arguments, keywords))
    for i, name in enumerate(script.GRAPHS):
        (_, config), (_, load), (_, build), (export, _) = (calls[i] for calls in list(steps.values())[:4])
        assert config["target_platform"] == "rk3576"
        assert graph_at(folder, "rknn", load["model"]) == name
        assert build == {"do_quantization": False}
        assert Path(export[0]) == tmp_path / "out" / f"{name}.rknn"
        lists = [[list(pair[end]) for pair in shapes[name].values()] for end in (0, 1)]
        assert config.get("dynamic_input") == (lists if is_open(shapes[name]) else None)
    assert len(steps["release"]) == len(script.GRAPHS)


def test_rknn_says_which_step_failed(tmp_path, rknn, monkeypatch):
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    script = load_script(folder, "rknn/convert.py")
    monkeypatch.setattr(rknn, "fails", True)
    with pytest.raises(SystemExit, match="h_a: RKNN's build failed"):
        run_main(script, monkeypatch, "h_a", "--out", tmp_path)
    assert [name for name, *_ in rknn.calls] == ["config", "load_onnx", "build", "release"]


def test_readme_says_what_it_leaves_out_and_whose_it_is(bundle):
    manifest, folder = bundle
    text = section(folder, "Rockchip: RKNN")
    assert "proprietary" in text
    assert (KEPT in text) == bool(exact(manifest))


def test_readme_s_commands_can_be_pasted(bundle):
    """A line that ends in a backslash goes on in the next one."""
    _, folder = bundle
    lines = section(folder, "Rockchip: RKNN").splitlines()
    commands = [i for i, line in enumerate(lines) if line.startswith("    pip install")]
    assert len(commands) == 2
    assert lines[commands[1]].endswith("\\")
    assert lines[commands[1] + 1].startswith("        opencv-python-headless==")


def test_rknn_s_trap_is_named_where_it_is(bundle):
    """g_s of these bundles has output_padding, g_s_0 and g_s_1 have none."""
    manifest, folder = bundle
    padded = {
        name
        for name, info in manifest.subgraphs.items()
        if any(a.name == "output_padding" for n in onnx.load(folder / info.file).graph.node for a in n.attribute)
    } - exact(manifest)
    script = (tool_folder(folder, "rknn") / "convert.py").read_text()
    readme = section(folder, "Rockchip: RKNN")
    assert ("fold_output_padding" in script) == bool(padded)
    for name in padded:
        assert re.search(rf"which .*`{name}`.*ha(s|ve): the build stops", readme, re.DOTALL)
        assert re.search(rf'Got 31 Expected 32" on:\n# .*\b{name}\b', script)
    assert "fold_output_padding" in readme
    assert ("no graph built here has one" in readme) == (not padded)
