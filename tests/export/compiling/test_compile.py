"""Compiling a bundle: what is recorded of it, what is refused, and that a failure leaves the bundle as it was.

OpenVINO stands for all compilers here, since it is the quickest. `tests/runtime/runners` runs what the others make.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
from copies import contents, edit, linked
from elic_export.api import compile_bundle
from elic_export.cli import app
from elic_export.compiling.render import write_pages
from elic_export.compiling.settings import CompileSettings
from elic_export.compiling.toolchain import NotInstalledError
from elic_export.errors import ExportError
from elic_export.sources import up_to_date
from elic_export.targets.registry import compilable
from elic_runtime import BundleError, Codec
from elic_runtime.bundle import Bundle
from elic_runtime.commands.verify import VerifyReport
from interpreters import child_of, ends, interpreter
from typer.testing import CliRunner

TOOL = "openvino"
TRANSFORMS = ("g_a_h_a", "g_s")


def compile_one(folder, checkpoint, tool=TOOL, **settings):
    """What was made. Raises what the API gives back as the reason why nothing was."""
    (result,) = compile_bundle(folder, [tool], checkpoint=checkpoint.path, settings=CompileSettings(**settings))
    if isinstance(result, ExportError):
        raise result
    return result


def elic_export(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def refused(run, *words):
    assert run.exit_code == 2, run.output
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert all(word in run.stderr for word in words), run.stderr
    return True


def beside(folder):
    """What is in the folder of a bundle's folder."""
    return sorted(path.name for path in folder.parent.iterdir() if path.name != "tools")


@pytest.fixture
def tools(tmp_path):
    """A folder for interpreters, and for what they note."""
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def compiled(bundle_path, checkpoint, tmp_path_factory):
    """A compiled bundle; copy it before changing it."""
    folder = shutil.copytree(bundle_path, tmp_path_factory.mktemp("compile") / "static-128x192")
    assert compile_one(folder, checkpoint).target.passed
    assert beside(folder) == ["static-128x192"]
    return folder


@pytest.fixture
def compiled_copy(compiled, tmp_path):
    return shutil.copytree(compiled, tmp_path / "bundle")


def test_what_was_made_is_recorded(compiled):
    """With digests that hold, the compiler's version, and what was measured of it."""
    bundle = Bundle(compiled)
    target = bundle.manifest.compiled[TOOL]
    assert target.version == version("openvino")
    assert (target.platform, target.precision, target.simulated) == ("cpu", "fp32", False)
    assert tuple(target.subgraphs) == TRANSFORMS
    inner = f"targets/{TOOL}"
    assert [file.file for file in target.files] == [
        *(f"{inner}/{name}.{suffix}" for name in TRANSFORMS for suffix in ("xml", "bin")),
        *(f"{inner}/compile.log", f"{inner}/verify.json"),
    ]
    for file in target.files:
        bundle.file(file)
    for name, graph in target.subgraphs.items():
        assert graph.inputs == bundle.manifest.subgraphs[name].inputs
    report = VerifyReport.model_validate_json((compiled / target.report.file).read_bytes())
    assert report.passed is target.passed is True
    assert [result.runner.split()[0] for result in report.results] == ["OpenVINO", "ONNX"]
    assert target.speed.seconds.keys() == target.speed.onnxruntime_seconds.keys() == set(TRANSFORMS)


def test_nothing_else_of_the_bundle_changes(compiled, bundle_path):
    """Not the fingerprint, nor a graph, so that files cross between the two."""
    before, after = contents(bundle_path), contents(compiled)
    assert {name for name in after if before.get(name) != after[name]} == {"manifest.json"} | {
        file.file for file in Bundle(compiled).manifest.compiled[TOOL].files
    }
    old, new = Bundle(bundle_path).manifest, Bundle(compiled).manifest
    assert old == new.model_copy(update={"compiled": {}})
    assert old.fingerprint == new.fingerprint


def test_a_compiled_bundle_is_up_to_date(compiled):
    assert up_to_date(compiled, Bundle(compiled).manifest.sources)


def test_compiling_again_replaces_what_was_there(compiled_copy, checkpoint):
    """In another precision, after a version that made another file. A file that nobody recorded is not touched."""
    folder = compiled_copy / "targets" / TOOL
    size = (folder / "g_s.bin").stat().st_size
    for name in ("g_s.blob", "mine.txt"):
        (folder / name).write_bytes(b"")
    empty = Bundle(compiled_copy).manifest.compiled[TOOL].files[0].model_dump() | {"file": f"targets/{TOOL}/g_s.blob"}
    edit(compiled_copy, lambda m: m["compiled"][TOOL]["subgraphs"]["g_s"]["files"].append(empty))
    again = compile_one(compiled_copy, checkpoint, precision="fp16", rewrites=("deconv_to_depth_to_space",)).target
    assert (again.precision, again.rewrites) == ("fp16", ("deconv_to_depth_to_space",))
    assert Bundle(compiled_copy).manifest.compiled[TOOL] == again
    assert (folder / "g_s.bin").stat().st_size < 0.7 * size
    assert {path.name for path in folder.iterdir()} == {"convert.py", "compile.log", "verify.json", "mine.txt"} | {
        f"{name}.{suffix}" for name in TRANSFORMS for suffix in ("xml", "bin")
    }
    assert beside(compiled_copy) == ["bundle"]


def test_a_dynamic_bundle_keeps_its_range(dynamic_path, checkpoint, cat, tmp_path):
    """With g_s in the parts that its export made, at every shape of the range."""
    folder = shutil.copytree(dynamic_path, tmp_path / "bundle")
    result = compile_one(folder, checkpoint)
    assert result.target.passed
    assert tuple(result.target.subgraphs) == ("g_a_h_a", "g_s_0", "g_s_1")
    ours, theirs = Codec.load(folder, runner=TOOL), Codec.load(dynamic_path)
    for image in (cat[:192, :256], cat[:70, :40], cat[:200, :300]):
        data = ours.compress(image)
        assert np.abs(ours.decompress(data).astype(int) - theirs.decompress(data)).max() <= 1
        assert ours.decompress(theirs.compress(image)).shape == image.shape


def test_no_compiler_installs_anything(copy, checkpoint, tools, monkeypatch):
    """MNN's own command runs pip, and reports what it converts."""
    pip = tools / "pip"
    pip.write_text(f"#!/bin/sh\necho called >> {tools / 'notes'}\n")
    pip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    compile_one(copy, checkpoint, "mnn")
    assert not (tools / "notes").exists()
    assert "aliyun" not in (copy / "targets/mnn/compile.log").read_text()


@pytest.mark.parametrize("tool", ["rknn", "qnn"])
def test_a_compiler_for_one_shape_refuses_a_range(dynamic_path, checkpoint, tmp_path, tools, monkeypatch, tool):
    monkeypatch.setenv(f"ELIC_{tool.upper()}_PYTHON", str(interpreter(tools, compiles="exit 1", version="9.9")))
    folder = shutil.copytree(dynamic_path, tmp_path / "bundle")
    before = contents(folder)
    with pytest.raises(ExportError, match=f"{tool} compiles for one shape only: export a static bundle"):
        compile_one(folder, checkpoint, tool)
    assert contents(folder) == before


def unchanged(folder, before, tool):
    """Whether a bundle is as it was, but for the log of what was tried."""
    after = contents(folder)
    log = after.pop(f"targets/{tool}/failed.log")
    return log.strip() and after == before and beside(folder) == [folder.name]


def test_a_compiler_that_is_killed_leaves_nothing_half_written(copy, checkpoint, tools, monkeypatch):
    """After it compiled the first graph."""
    before = contents(copy)
    monkeypatch.setenv("ELIC_MNN_PYTHON", str(interpreter(tools, compiles="kill -9 $$", graph="g_s")))
    with pytest.raises(ExportError, match=r"^mnn cannot compile g_s: was killed by SIGKILL \(log: .*failed\.log\)$"):
        compile_one(copy, checkpoint, "mnn")
    assert unchanged(copy, before, "mnn")
    assert "g_a_h_a.mnn" in (copy / "targets/mnn/failed.log").read_text()


def test_a_failure_keeps_what_was_compiled_before(compiled_copy, checkpoint, tools, monkeypatch):
    """And still runs it."""
    before = contents(compiled_copy)
    compiles = "echo begins; echo 'error: no room'; exit 1"
    monkeypatch.setenv("ELIC_OPENVINO_PYTHON", str(interpreter(tools, compiles=compiles)))
    with pytest.raises(ExportError, match=r"^openvino cannot compile g_a_h_a: no room \(log: "):
        compile_one(compiled_copy, checkpoint)
    assert unchanged(compiled_copy, before, TOOL)
    assert Codec.load(compiled_copy, runner=TOOL)


def test_a_compiler_that_writes_no_file_failed(copy, checkpoint, tools, monkeypatch):
    before = contents(copy)
    monkeypatch.setenv("ELIC_OPENVINO_PYTHON", str(interpreter(tools, compiles="echo done; exit 0")))
    with pytest.raises(ExportError, match=r"cannot compile g_a_h_a: it wrote no g_a_h_a\.xml"):
        compile_one(copy, checkpoint)
    assert unchanged(copy, before, TOOL)


def test_a_compiled_file_that_cannot_be_run_is_not_kept(copy, checkpoint, tools, monkeypatch):
    """The compiler says that it is done, and yet no engine can read what it wrote. The log has all that was said."""
    before = contents(copy)
    writes = 'echo done; for suffix in xml bin; do echo nothing > "$4/$2.$suffix"; done; exit 0'
    monkeypatch.setenv("ELIC_OPENVINO_PYTHON", str(interpreter(tools, compiles=writes)))
    with pytest.raises(ExportError, match=r"openvino: what it compiled cannot be run: .*cannot load g_a_h_a"):
        compile_one(copy, checkpoint)
    assert "cannot load g_a_h_a" in (copy / f"targets/{TOOL}/failed.log").read_text()
    assert unchanged(copy, before, TOOL)


def test_rknn_s_trap_reaches_the_user_in_one_line(copy, checkpoint, tools, monkeypatch):
    rknn = interpreter(
        tools,
        compiles="echo 'E build: Got 31 Expected 32'; exit 1",
        graph="g_s",
        otherwise=': > "$4/$2.rknn"; exit',
        version="2.5.0",
    )
    monkeypatch.setenv("ELIC_RKNN_PYTHON", str(rknn))
    given = ("compile", copy, "--target", "rknn", "--checkpoint", checkpoint.path)
    advice = ("output_padding of ConvTranspose", "fold_output_padding", "deconv_to_depth_to_space")
    assert refused(elic_export(*given), "rknn cannot compile g_s: E build: Got 31 Expected 32", "failed.log", *advice)


def test_a_terminated_compilation_leaves_nothing_and_no_other_runs_beside_it(copy, checkpoint, tools, monkeypatch):
    """Its compiler hangs. SIGTERM ends all of it, and the next compilation may begin."""
    before, noted = contents(copy), tools / "child"
    hangs = interpreter(tools, compiles=f"echo begins; sleep 600 & echo $! > {noted}; wait")
    command = [sys.executable, "-m", "elic_export", "compile", copy, "--target", TOOL, "--checkpoint", checkpoint.path]
    with subprocess.Popen(
        command, env=os.environ | {"ELIC_OPENVINO_PYTHON": str(hangs)}, stderr=subprocess.PIPE
    ) as run:
        child = child_of(noted)
        assert len(beside(copy)) == 2
        with pytest.raises(ExportError, match=f"{copy}: another export or compilation is writing it"):
            compile_one(copy, checkpoint)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
    assert ends(child)
    assert contents(copy) == before
    assert beside(copy) == ["bundle"]
    monkeypatch.setenv("ELIC_OPENVINO_PYTHON", str(interpreter(tools, compiles="echo error; exit 1")))
    with pytest.raises(ExportError, match="cannot compile"):
        compile_one(copy, checkpoint)


def test_what_a_killed_compilation_left_is_cleared_away(copy, checkpoint, tools, monkeypatch):
    left = copy.with_name(f".{copy.name}.abc.partial")
    left.mkdir()
    (left / "g_s.xml").write_text("half of it")
    monkeypatch.setenv("ELIC_OPENVINO_PYTHON", str(interpreter(tools, compiles="exit 1")))
    with pytest.raises(ExportError, match="it printed nothing"):
        compile_one(copy, checkpoint)
    assert beside(copy) == ["bundle"]


def test_a_no_entropy_bundle_is_refused(no_entropy_path, checkpoint):
    with pytest.raises(ExportError, match="a no-entropy bundle is one graph, which no codec runs"):
        compile_one(no_entropy_path, checkpoint)


def test_another_checkpoint_is_refused(copy):
    run = elic_export("compile", copy, "--target", TOOL)
    assert refused(run, "exported from another checkpoint, tiny.safetensors")
    assert not Bundle(copy).manifest.compiled


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "tensorrt"), "no target tensorrt: the targets are atc, "),
        (("--target", "vamc"), "vamc: its compiler is not on PyPI: run its files in targets/vamc"),
        (("--target", "mnn", "--platform", "rk3588"), "mnn: it has no platform rk3588; it has cpu"),
        (("--target", "iree", "--platform", "metal"), "iree: it has no platform metal; it has llvm-cpu, vulkan-spirv"),
        (("--target", "iree", "--precision", "fp16"), "iree: it has no precision fp16; it has fp32"),
        (("--target", "mnn", "--precision", "int4"), "--precision int4: it is one of fp32, fp16, int8"),
        (("--target", "mnn", "--rewrite", "winograd"), "--rewrite winograd: it is one of deconv_to_depth_to_space, "),
        (("--target", "mnn", "--rewrite", "merge_g_a_h_a"), "--rewrite merge_g_a_h_a: it is one of"),
    ],
)
def test_what_there_is_not_is_refused(bundle_path, checkpoint, options, message):
    run = elic_export("compile", bundle_path, *options, "--checkpoint", checkpoint.path)
    assert refused(run, message)
    assert not Bundle(bundle_path).manifest.compiled


def test_a_folder_without_a_bundle_is_refused(tmp_path, checkpoint):
    assert refused(elic_export("compile", tmp_path, "--target", "mnn"), "no bundle here")
    with pytest.raises(BundleError, match="no bundle here"):
        compile_one(tmp_path, checkpoint)


def test_the_reason_why_nothing_was_made_does_not_stop_the_next_tool(bundle_path, checkpoint, tmp_path, monkeypatch):
    for tool in compilable():
        monkeypatch.setenv(f"ELIC_{tool.upper()}_PYTHON", str(tmp_path / "python"))
    results = list(compile_bundle(bundle_path, compilable(), checkpoint=checkpoint.path))
    assert [type(result) for result in results] == [NotInstalledError] * len(compilable())


def test_all_compiles_what_is_installed_and_says_what_is_not(copy, checkpoint, tmp_path, monkeypatch):
    """The exit code is 1: no compiler is as good as this limit asks. What it made is recorded as failed."""
    others = [tool for tool in compilable() if tool != TOOL]
    for tool in others:
        monkeypatch.setenv(f"ELIC_{tool.upper()}_PYTHON", str(tmp_path / "python"))
    question = "x_hat: RMS error, 8-bit steps"
    edit(copy, lambda m: m["verify"]["limits"]["fp32"].update({question: -1}))
    run = elic_export("compile", copy, "--target", "all", "--checkpoint", checkpoint.path, "--json")
    assert run.exit_code == 1, run.output
    notes, errors = ([n for n in run.stderr.splitlines() if n.startswith(kind)] for kind in ("note: ", "error: "))
    assert [note.split(": ")[1] for note in notes] == others
    assert all("is not installed: " in note for note in notes)
    assert errors == [f"error: {TOOL}: {question}: not accepted"]
    (facts,) = json.loads(run.stdout)
    assert (facts["target"], facts["passed"], facts["precision"]) == (TOOL, False, "fp32")
    assert facts["report"]["results"][0]["runner"].startswith("OpenVINO ")
    assert Bundle(copy).manifest.compiled[TOOL].passed is False
    page = (copy / "targets/compiled.html").read_text()
    assert '<span class="fail">FAILED</span>' in page
    assert page.count(">FAIL\n") == 1


def test_one_that_is_named_and_not_installed_is_an_error(bundle_path, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("ELIC_RKNN_PYTHON", str(tmp_path / "python"))
    run = elic_export("compile", bundle_path, "--target", "rknn", "--checkpoint", checkpoint.path)
    assert refused(run, "rknn: rknn-toolkit2 is not installed: make setup-rknn")


def test_exporting_again_replaces_what_was_compiled_and_says_so(compiled_copy, checkpoint, tmp_path):
    """Whatever else is in `targets/`: what its scripts made, and what nobody recorded."""
    made = compiled_copy / "targets/openvino/ir/g_s.xml"
    made.parent.mkdir()
    made.write_text("what convert.py made")
    (compiled_copy / "targets/mine.txt").write_text("a note")
    config = tmp_path / "c.yaml"
    config.write_text("form: static\nshape: {height: 64, width: 64}\narithmetic: float\n")
    given = ("static", "--config", config, "--checkpoint", checkpoint.path, "--out", compiled_copy)
    run = elic_export(*given)
    assert run.exit_code == 0, run.output
    assert f"note: what {TOOL} made of the earlier export was removed: compile {compiled_copy} again\n" in run.stderr
    assert not Bundle(compiled_copy).manifest.compiled
    assert not made.exists()
    with pytest.raises(BundleError, match=f"not compiled for {TOOL}"):
        Codec.load(compiled_copy, runner=TOOL)
    run = elic_export(*given)
    assert "up to date" in run.stdout
    assert "note:" not in run.stderr


def test_the_page_shows_each_tool_before_and_after(compiled_path, tmp_path):
    folder = linked(compiled_path, tmp_path / "bundle")
    write_pages(folder)
    page = (folder / "targets/compiled.html").read_text()
    manifest = Bundle(folder).manifest
    assert manifest.fingerprint in page
    sections = page.split("<h2>")[1:]
    assert len(sections) == 3
    for (tool, target), section in zip(manifest.compiled.items(), sections, strict=True):
        assert section.startswith(f"{tool} {target.version} for {target.platform}, fp32")
        report = VerifyReport.model_validate_json((folder / target.report.file).read_bytes())
        assert all(f"<th>{result.runner}" in section for result in report.results)
        for check in report.results[0].checks:
            assert f"<td>{check.question}<td>{check.measured:.1e}<td>" in section
        assert section.count(">pass\n") == len(report.results[0].checks)
        assert f'<a href="{tool}/compile.log">' in section


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["vulkan-spirv", "cuda"])
def test_iree_compiles_for_gpus_that_are_not_here(copy, checkpoint, platform):
    run = elic_export("compile", copy, "--target", "iree", "--platform", platform, "--checkpoint", checkpoint.path)
    assert run.exit_code == 0, run.output
    assert "not run: it is for another machine" in run.stdout
    target = Bundle(copy).manifest.compiled["iree"]
    assert (target.platform, target.passed, target.report, target.speed) == (platform, None, None, None)
    assert "Not run: it is for another machine." in (copy / "targets/compiled.html").read_text()


@pytest.mark.slow
def test_an_operator_that_iree_does_not_take_is_named(copy, checkpoint):
    """By IREE itself, of a graph whose transposed convolutions have uneven pads."""
    given = ("compile", copy, "--target", "iree", "--rewrite", "fold_output_padding", "--checkpoint", checkpoint.path)
    assert refused(elic_export(*given), "iree cannot compile g_s: ", "IREE does not support ConvTranspose")


def test_settings_are_the_tool_s_own_by_default(compiled):
    assert CompileSettings() == CompileSettings(None, None, None, 1800.0, 0)
    assert Bundle(compiled).manifest.compiled[TOOL].rewrites == ()


def test_a_timeout_is_at_least_a_second(bundle_path):
    run = elic_export("compile", bundle_path, "--target", "mnn", "--timeout", "0")
    assert run.exit_code == 2
    assert "timeout" in run.stderr
