"""IREE's script: run with compilers that note their arguments."""

from pathlib import Path

import pytest
from bundles import KINDS, make_bundle, written
from elic_export.targets.write import write_targets
from outputs import graph_at, load_script, run_beside, run_main, section

TOOLS = ("iree-import-onnx", "iree-compile")

FLAGS = {
    "llvm-cpu": [
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        "--iree-llvmcpu-target-cpu=host",
    ],
    "vulkan-spirv": ["--iree-hal-target-device=vulkan"],
    "cuda": ["--iree-hal-target-device=cuda", "--iree-cuda-target=sm_80"],
}


def test_iree(bundle, tmp_path, monkeypatch):
    manifest, folder = bundle
    out = tmp_path / "out"
    calls = run_beside(folder, "iree/convert.py", TOOLS, tmp_path, monkeypatch, "--out", out)
    imports, compiles = calls[0::2], calls[1::2]
    assert [graph_at(folder, "iree", call[1]) for call in imports] == list(manifest.subgraphs)
    for name, (importer, _, o, mlir), compiled in zip(manifest.subgraphs, imports, compiles, strict=True):
        assert (importer, compiled[0]) == TOOLS
        assert o == compiled[-2] == "-o"
        assert compiled[-3] == mlir
        assert Path(compiled[-1]) == out / f"{name}.vmfb"
        assert compiled[1:-3] == FLAGS["llvm-cpu"]
    assert {path.name for path in out.iterdir()} == {f"{name}.vmfb" for name in manifest.subgraphs}


@pytest.mark.parametrize("platform", FLAGS)
def test_one_graph_for_one_platform(tmp_path, monkeypatch, platform):
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    wanted = ("g_s", "--platform", platform, "--out", tmp_path)
    _, compiled = run_beside(folder, "iree/convert.py", TOOLS, tmp_path, monkeypatch, *wanted)
    assert compiled[1:-3] == FLAGS[platform]
    assert Path(compiled[-1]) == tmp_path / "g_s.vmfb"


def test_a_graph_or_a_platform_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    script = load_script(folder, "iree/convert.py")
    for arguments, message in ((["g_z"], "no graph g_z here"), (["--platform", "metal"], "invalid choice: 'metal'")):
        with pytest.raises(SystemExit):
            run_main(script, monkeypatch, *arguments, "--out", tmp_path / "out")
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_tool_that_fails_is_named(tmp_path, monkeypatch):
    _, folder = written(tmp_path / "bundle", **KINDS["static"])
    failing = tmp_path / "bin/iree-import-onnx"
    failing.parent.mkdir()
    failing.write_text("#!/bin/sh\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(failing.with_name("python")))
    with pytest.raises(SystemExit, match="iree-import-onnx failed"):
        run_main(load_script(folder, "iree/convert.py"), monkeypatch, "g_s", "--out", tmp_path / "out")


def test_readme_warns_of_the_rewrite_that_it_does_not_take(tmp_path):
    manifest = make_bundle(tmp_path, **KINDS["static"])
    for rewrites in ((), ("fold_output_padding",)):
        write_targets(manifest.model_copy(update={"rewrites": rewrites}), tmp_path)
        assert ("`fold_output_padding` makes: leave it out" in section(tmp_path, "IREE")) == bool(rewrites)
