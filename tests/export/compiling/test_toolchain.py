"""A compiler where it is installed, and what a user reads of it when it fails, is killed, or hangs."""

import re
import sys
from importlib.metadata import version

import pytest
from elic_export.compiling.toolchain import NotInstalledError, explain, find_python, run, version_of
from elic_export.errors import ExportError
from elic_export.targets.registry import all_targets, compilable
from interpreters import child_of, ends, interpreter

TARGETS = {target.tool: target for target in all_targets()}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "compile.log"


def fails(command, log, timeout=60):
    with pytest.raises(ExportError) as error:
        run(["/bin/sh", "-c", command], log, timeout, "mnn cannot compile g_s")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("tool", ["mnn", "openvino", "iree"])
def test_a_compiler_beside_the_tests_is_found(tool):
    compilation = TARGETS[tool].compilation
    python = find_python(tool, compilation)
    assert str(python) == sys.executable
    assert version_of(python, compilation.distribution) == version(compilation.distribution)


@pytest.mark.parametrize("tool", compilable())
def test_one_that_is_not_installed_says_how_to_install_it(tool, tmp_path, monkeypatch):
    monkeypatch.setenv(f"ELIC_{tool.upper()}_PYTHON", str(tmp_path / "bin/python"))
    wanted = f"{tool}: {TARGETS[tool].compilation.distribution} is not installed: "
    with pytest.raises(NotInstalledError, match=rf"^{wanted}(pip install 'elic-deploy\[{tool}\]'|make setup-{tool},)"):
        find_python(tool, TARGETS[tool].compilation)


def test_an_interpreter_without_the_compiler_is_none(monkeypatch):
    monkeypatch.setenv("ELIC_RKNN_PYTHON", sys.executable)
    with pytest.raises(NotInstalledError, match="rknn-toolkit2 is not installed: make setup-rknn"):
        find_python("rknn", TARGETS["rknn"].compilation)


def test_another_interpreter_may_be_named(tmp_path, monkeypatch):
    named = interpreter(tmp_path, compiles="exit 1", version="2.5.0")
    monkeypatch.setenv("ELIC_RKNN_PYTHON", str(named))
    assert find_python("rknn", TARGETS["rknn"].compilation) == named


def test_what_it_prints_is_logged_one_after_the_other(log):
    for word in ("one", "two"):
        run(["/bin/sh", "-c", f"echo {word}; echo {word} >&2"], log, 60, "what")
    assert log.read_text() == "one\none\ntwo\ntwo\n"


@pytest.mark.parametrize(
    ("prints", "reason"),
    [
        ("echo begins; echo 'E build: an Error: of g_s'; echo goes on", "E build: an Error: of g_s"),
        ("echo begins; echo 'loading failed'; echo 'E: an error follows'", "loading failed"),
        ("echo begins; echo ends", "ends"),
        ("printf '\\033[1;31merror:\\033[0m of colours\\n'", "of colours"),
        (":", "it printed nothing"),
    ],
    ids=["first", "before", "last", "colours", "nothing"],
)
def test_the_reason_is_the_line_that_says_why(log, prints, reason):
    log.write_text("an error: of an earlier graph\n")
    assert fails(f"{prints}; exit 3", log) == f"mnn cannot compile g_s: {reason}"


def test_a_long_line_is_cut(log):
    said = fails("printf 'error: %05000d' 0; exit 1", log)
    assert len(said) < 300


def test_a_killed_compiler_is_named_with_its_signal(log):
    assert fails("kill -9 $$", log) == "mnn cannot compile g_s: was killed by SIGKILL"
    assert fails("kill -11 $$", log) == "mnn cannot compile g_s: was killed by SIGSEGV"


def test_a_hanging_compiler_is_killed_with_what_it_started(log, tmp_path):
    noted = tmp_path / "child"
    said = fails(f"sleep 600 & echo $! > {noted}; wait", log, timeout=1)
    assert said == "mnn cannot compile g_s: killed after 1 s, see --timeout"
    assert ends(child_of(noted))


def test_what_a_compiler_left_running_ends_with_it(log, tmp_path):
    """Whether it succeeds or fails."""
    for code in (0, 1):
        noted = tmp_path / f"child{code}"
        command = f"sleep 600 & echo $! > {noted}; exit {code}"
        if code:
            fails(command, log)
        else:
            run(["/bin/sh", "-c", command], log, 60, "what")
        assert ends(child_of(noted))


def explained(tool, text, log):
    log.write_text(text)
    return str(explain(ExportError(f"{tool} cannot compile g_s: it failed"), TARGETS[tool], log))


@pytest.mark.parametrize("said", ["Got 31 Expected 32", "E RKNN: [12:00:00.123] Got: 63 Expected: 64 in dimension 2"])
def test_rknn_s_trap_is_explained(log, said):
    """RKNN drops output_padding, and complains of a size."""
    text = explained("rknn", f"I build ...\n{said}\nE build failed\n", log)
    assert text.startswith("rknn cannot compile g_s: it failed: RKNN ignores the output_padding of ConvTranspose")
    assert "fold_output_padding" in text
    assert "deconv_to_depth_to_space" in text


IREE = """\
/tmp/x/g_s.mlir:188:12: error: failed to legalize operation 'torch.operator' that was explicitly marked illegal: \
%661 = "torch.operator"(%660, %77, %79) <{name = "onnx.ConvTranspose"}> {torch.onnx.dilations = [1 : si64, 1 : si64], \
torch.onnx.pads = [2 : si64, 2 : si64, 1 : si64, 1 : si64], torch.onnx.strides = [2 : si64, 2 : si64]} : \
(!torch.vtensor<[1,24,8,12],f32>) -> !torch.vtensor<[1,16,16,24],f32>
    %184 = torch.operator "onnx.ConvTranspose"(%183, %38, %39) {torch.onnx.strides = [2 : si64, 2 : si64]}
"""
"""Of IREE 3.13, for a graph of the rewrite fold_output_padding."""


def test_an_operator_that_iree_does_not_take_is_named(log):
    text = explained("iree", IREE, log)
    assert re.search(r"IREE does not support ConvTranspose\b", text)
    assert "deconv_to_depth_to_space" in text


def test_other_failures_stay_as_they_are(log):
    for tool in compilable():
        assert explained(tool, "out of memory\n", log) == f"{tool} cannot compile g_s: it failed"


def test_a_log_that_is_not_there_explains_nothing(log):
    error = ExportError("rknn cannot compile g_s")
    assert explain(error, TARGETS["rknn"], log) is error
