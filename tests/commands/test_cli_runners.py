"""`--runner`: what engines print never gets into the file that is written, and commands say what they took."""

import json
import subprocess
import sys

import pytest
from copies import edit, linked
from elic_runtime import Codec, read_info
from elic_runtime.images import decode_photograph, read_image, write_image

ENGINES = ("mnn", "openvino", "iree")


def elic(*arguments, **options):
    """Through the real entry point, with real streams."""
    command = [sys.executable, "-m", "elic_runtime", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **options)


@pytest.fixture
def photo(cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[:130, :200])
    return tmp_path / "cat.png"


@pytest.mark.parametrize("engine", ENGINES)
def test_standard_output_is_the_file_and_nothing_else(photo, compiled_path, trained_codec, engine):
    run = elic("compress", photo, "-", "--bundle", compiled_path, "--runner", engine)
    assert run.returncode == 0, run.stderr
    assert read_info(run.stdout).size == len(run.stdout)
    assert trained_codec.decompress(run.stdout).shape == (130, 200, 3)


def test_standard_output_is_the_picture_and_nothing_else(photo, compiled_path, trained_codec):
    data = trained_codec.compress(read_image(photo))
    run = elic("decompress", "-", "-", "--bundle", compiled_path, "--runner", "mnn", input=data)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(b"\x89PNG")
    assert run.stdout.endswith(b"IEND\xaeB`\x82")
    assert decode_photograph(run.stdout, "out").pixels.shape == (130, 200, 3)


def test_json_is_nothing_but_json(photo, compiled_path):
    run = elic("eval", "--images", photo, "--bundle", compiled_path, "--runner", "mnn", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)


def test_info_says_what_is_compiled_and_what_auto_takes(compiled_path, tmp_path):
    copy = linked(compiled_path, tmp_path / "bundle")
    seconds = {"g_a_h_a": 1.0, "g_s": 1.0}

    def record(manifest):
        for target, factor in zip(ENGINES, (0.5, 0.8, 10.0), strict=True):
            times = {name: factor * value for name, value in seconds.items()}
            manifest["compiled"][target]["speed"].update(seconds=times, onnxruntime_seconds=seconds)
        manifest["compiled"]["iree"]["passed"] = False

    edit(copy, record)
    run = elic("info", copy)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.decode().splitlines()
    assert "runner auto  mnn" in lines
    rows = {line.split()[0]: line for line in lines if line.split()[:1] and line.split()[0] in ENGINES}
    assert list(rows) == sorted(ENGINES)
    assert "g_a_h_a, g_s" in rows["mnn"]
    assert "passed" in rows["mnn"]
    assert "2.00 of ONNX Runtime's" in rows["mnn"]
    assert "FAILED" in rows["iree"]
    assert all("installed" in row for row in rows.values())
    facts = json.loads(elic("info", copy, "--json").stdout)
    assert facts["fastest_runner"] == "mnn"
    assert facts["compiled"]["openvino"]["passed"] is True


def test_info_of_a_bundle_that_was_not_compiled_has_no_such_table(bundle_path):
    said = elic("info", bundle_path).stdout.decode()
    assert "runner auto" not in said
    assert "compiled" not in said


def test_a_runner_that_cannot_be_taken_is_one_line_and_writes_nothing(photo, bundle_path, tmp_path):
    for name, words in (("tensorrt", "is not a runner"), ("mnn", "not compiled for mnn: elic-export compile")):
        run = elic("compress", photo, tmp_path / "out.elic", "--bundle", bundle_path, "--runner", name)
        assert run.returncode == 2
        said = run.stderr.decode()
        assert said.startswith("error: ")
        assert words in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out.elic").exists()


def test_auto_writes_what_onnx_runtime_decodes(photo, compiled_path):
    out = photo.with_name("auto.elic")
    run = elic("compress", photo, out, "--bundle", compiled_path, "--runner", "auto")
    assert run.returncode == 0, run.stderr
    assert Codec.load(compiled_path, encode=False).decompress(out.read_bytes()).shape == (130, 200, 3)
