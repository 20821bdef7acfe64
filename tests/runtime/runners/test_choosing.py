"""Runners by name: what `auto` takes, and what is said of names that cannot be taken."""

import json

import pytest
from copies import edit, linked
from elic_runtime import BundleError, Codec, ElicError
from elic_runtime.commands.info import bundle_facts
from elic_runtime.manifest_file import read_manifest
from elic_runtime.runners import AUTO, ENGINES, ONNXRUNTIME, RUNNERS, fastest, installed, open_with

ANALYSIS, SYNTHESIS = "g_a_h_a", "g_s"


@pytest.fixture
def compiled(compiled_path, tmp_path):
    """A compiled bundle whose recorded speeds are ONNX Runtime's: nothing is faster."""
    copy = linked(compiled_path, tmp_path / "bundle")
    for name in ("mnn", "openvino", "iree"):
        record(copy, name, 1.0, 1.0)
    return copy


def record(folder, name, analysis, synthesis, **fields):
    """Record times of a compiled target's transforms, where ONNX Runtime takes 1 s for each."""

    def change(manifest):
        target = manifest["compiled"][name]
        target["speed"]["seconds"] = {ANALYSIS: analysis, SYNTHESIS: synthesis}
        target["speed"]["onnxruntime_seconds"] = {ANALYSIS: 1.0, SYNTHESIS: 1.0}
        target.update(fields)

    return edit(folder, change)


def taken(folder, **halves):
    """What `auto` takes, as it names itself, and as `fastest` names it."""
    factory = open_with(folder, AUTO, **halves)[1]
    return fastest(read_manifest(folder), **halves), str(factory)


def test_auto_takes_the_fastest(compiled):
    record(compiled, "mnn", 0.5, 0.5)
    record(compiled, "openvino", 0.9, 0.7)
    name, runner = taken(compiled)
    assert name == "mnn"
    assert runner.startswith("MNN ")
    record(compiled, "openvino", 0.4, 0.5)
    name, runner = taken(compiled)
    assert name == "openvino"
    assert runner.startswith("OpenVINO ")


def test_auto_stays_with_onnx_runtime_where_nothing_is_faster(compiled, bundle_path):
    for analysis, synthesis in ((1.0, 1.0), (0.5, 1.6)):
        record(compiled, "mnn", analysis, synthesis)
        name, runner = taken(compiled)
        assert name == ONNXRUNTIME
        assert runner.startswith("ONNX Runtime ")
    assert taken(bundle_path)[0] == ONNXRUNTIME  # nothing is compiled there


@pytest.mark.parametrize("passed", [False, None])
def test_auto_takes_nothing_that_did_not_pass_or_was_not_run(compiled, passed):
    record(compiled, "mnn", 0.1, 0.1, passed=passed)
    assert taken(compiled)[0] == ONNXRUNTIME


def test_auto_takes_no_simulator(compiled):
    record(compiled, "mnn", 0.1, 0.1, simulated=True)
    assert taken(compiled)[0] == ONNXRUNTIME


def test_auto_takes_nothing_that_was_not_timed(compiled):
    record(compiled, "mnn", 0.1, 0.1, speed=None)
    assert taken(compiled)[0] == ONNXRUNTIME


@pytest.mark.parametrize("package", ["a_package_that_is_not_here", "not_here_either.runtime"])
def test_auto_takes_nothing_that_is_not_installed(compiled, monkeypatch, package):
    record(compiled, "mnn", 0.1, 0.1)
    record(compiled, "openvino", 0.5, 0.5)
    monkeypatch.setitem(ENGINES, "mnn", (package,))
    assert not installed("mnn")
    assert taken(compiled)[0] == "openvino"
    with pytest.raises(BundleError, match=f"the runner mnn needs the package {package}, which is not installed"):
        Codec.load(compiled, runner="mnn")


def test_auto_passes_over_what_it_does_not_know(compiled):
    """A tool that a later version of the project, or an application, recorded."""
    record(compiled, "mnn", 0.5, 0.5)
    edit(compiled, lambda m: m["compiled"].update(vamc=m["compiled"]["mnn"] | {"version": "1"}))
    record(compiled, "vamc", 0.1, 0.1)
    assert taken(compiled)[0] == "mnn"


def test_auto_takes_the_fastest_for_the_half_that_is_loaded(compiled):
    record(compiled, "mnn", 0.5, 1.5)
    record(compiled, "openvino", 1.5, 0.8)
    assert taken(compiled, halves=["encoder"])[0] == "mnn"
    assert taken(compiled, halves=["decoder"])[0] == "openvino"
    assert taken(compiled)[0] == ONNXRUNTIME


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_auto_codes_with_what_it_took(compiled, caplog, cat, share):
    record(compiled, "openvino", share, share)
    with caplog.at_level("INFO", "elic_runtime"):
        codec = Codec.load(compiled, runner=AUTO, threads=1)
    wanted = "openvino" if share < 1 else ONNXRUNTIME
    assert f"runner auto: {wanted}" in caplog.messages
    assert ("run by OpenVINO" in caplog.text) == (share < 1)
    image = cat[:128, :192]
    assert codec.decompress(codec.compress(image)).shape == image.shape


def test_the_default_is_onnx_runtime(compiled):
    record(compiled, "mnn", 0.1, 0.1)
    for runner in (None, ONNXRUNTIME):
        assert str(open_with(compiled, runner)[1]).startswith("ONNX Runtime ")


def test_info_says_what_is_compiled_and_what_auto_takes(compiled):
    record(compiled, "mnn", 0.5, 0.5)
    facts = bundle_facts(compiled)
    assert facts["fastest_runner"] == "mnn"
    assert set(facts["runners_here"]) == set(facts["compiled"]) == {"mnn", "openvino", "iree"}
    assert json.dumps(facts)


@pytest.mark.parametrize("name", ["tensorrt", "MNN", "", "onnx-runtime"])
def test_another_name_is_refused_with_the_names_there_are(compiled, name):
    with pytest.raises(ElicError, match="is not a runner: the runners are ") as error:
        Codec.load(compiled, runner=name)
    assert all(known in str(error.value) for known in RUNNERS)
    assert "\n" not in str(error.value)


def test_a_bundle_that_was_not_compiled_says_how_to_do_it(bundle_path):
    for name in ENGINES:
        with pytest.raises(BundleError, match=f"not compiled for {name}: elic-export compile .* --target {name}$"):
            Codec.load(bundle_path, runner=name)


def test_an_engine_that_does_not_start_is_one_line(compiled):
    """Compiled for a platform that only a later version knows."""
    edit(compiled, lambda m: m["compiled"]["iree"].update(platform="metal"))
    with pytest.raises(BundleError, match="the runner iree does not start: 'metal'"):
        Codec.load(compiled, runner="iree")
