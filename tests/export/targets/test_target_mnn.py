"""MNN's script: run with an interpreter that notes its arguments."""

import re
from pathlib import Path

import pytest
from bundles import KINDS, written
from expected import exact
from outputs import KEPT, graph_at, load_script, options, run_beside, run_main, section, tool_folder


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_mnn(bundle, tmp_path, monkeypatch, precision):
    manifest, folder = bundle
    out, wanted = tmp_path / "out", [name for name in manifest.subgraphs if name not in exact(manifest)]
    given = ("--precision", precision, "--out", out)
    calls = run_beside(folder, "mnn/convert.py", ["python"], tmp_path, monkeypatch, *given)
    for name, call in zip(wanted, calls, strict=True):
        assert call[1:6] == ["-c", "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)", "-f", "ONNX", "--modelFile"]
        assert graph_at(folder, "mnn", call[6]) == name
        assert call[7:] == [
            *("--MNNModel", str(out / f"{name}.mnn"), "--bizCode", "elic"),
            *(["--fp16"] if precision == "fp16" else []),
        ]


def test_weights_are_converted_as_exported_by_default(tmp_path, monkeypatch):
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    (call,) = run_beside(folder, "mnn/convert.py", ["python"], tmp_path, monkeypatch, "g_s", "--out", tmp_path)
    assert "--fp16" not in options(call)
    assert Path(call[8]) == tmp_path / "g_s.mnn"


@pytest.mark.parametrize("code", [0, 1])
def test_a_converter_that_writes_nothing_failed(tmp_path, monkeypatch, code):
    """It may return 0 then. An earlier model does not pass for its result."""
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    converter = tmp_path / "bin/python"
    converter.parent.mkdir()
    converter.write_text(f"#!/bin/sh\nexit {code}\n")
    converter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(converter))
    (tmp_path / "g_s.mnn").write_text("an earlier model")
    with pytest.raises(SystemExit, match="g_s: mnnconvert failed"):
        run_main(load_script(folder, "mnn/convert.py"), monkeypatch, "g_s", "--out", tmp_path)
    assert not (tmp_path / "g_s.mnn").exists()


def test_what_is_left_out_is_named_and_why(bundle):
    """Winograd's algorithm rounds, so no subgraph that must be exact is converted."""
    manifest, folder = bundle
    script = (tool_folder(folder, "mnn") / "convert.py").read_text()
    assert (KEPT in section(folder, "MNN")) == ("Winograd" in script) == bool(exact(manifest))
    comment = re.search(r"^# Not here: ((?:.|\n# )*?)\.\n", script, re.MULTILINE)
    named = re.findall(r"\w+", comment[1]) if comment else []
    assert set(named) == exact(manifest)


def test_readme_says_how_to_compute_in_float32(bundle):
    _, folder = bundle
    assert "`precision: high`" in section(folder, "MNN")
