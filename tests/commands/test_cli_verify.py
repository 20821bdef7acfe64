"""`elic verify`: verdicts as a table and as JSON, the record that a board sends back, exit codes."""

import json
import zipfile
from pathlib import Path

import pytest
from copies import edit
from elic_runtime.commands.cli import app
from typer.testing import CliRunner

GOLDEN = Path(__file__).parents[1] / "runtime/golden/bundle.zip"
QUESTION = "x_hat: RMS error, 8-bit steps"


def verify(*arguments):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def refused(run, *words):
    assert run.exit_code == 2, run.output
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert all(word in run.stderr for word in words), run.stderr
    return True


def test_a_table_and_a_record(bundle_path, tmp_path):
    """What the table shows is what is recorded."""
    run = verify(bundle_path, "--record", tmp_path / "boards/out.json", "--threads", "1")
    assert run.exit_code == 0, run.output
    assert "FAIL" not in run.stdout
    report = json.loads((tmp_path / "boards/out.json").read_text())
    assert report["passed"] is True
    assert report["shape"] == "128x192"
    assert report["threads"] == 1
    (result,) = report["results"]
    assert result["runner"].startswith("ONNX Runtime ")
    for check in result["checks"]:
        (line,) = [line for line in run.stdout.splitlines() if line.startswith(check["question"])]
        assert line.split()[-1] == "pass"
    for name in result["seconds"]:
        assert f"{name}: median time" in run.stdout
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    assert report["fingerprint"] == manifest["fingerprint"]


def test_json_is_the_record(bundle_path, tmp_path):
    run = verify(bundle_path, "--json", "--record", tmp_path / "out.json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout) == json.loads((tmp_path / "out.json").read_text())


def test_a_result_that_is_not_accepted_fails(copy, tmp_path):
    """No runner is as good as this limit asks."""
    edit(copy, lambda m: m["verify"]["limits"]["fp32"].update({QUESTION: -1}))
    run = verify(copy, "--record", tmp_path / "out.json")
    assert run.exit_code == 1
    (line,) = [line for line in run.stdout.splitlines() if line.startswith(QUESTION)]
    assert line.split()[-1] == "FAIL"
    assert run.stdout.count("FAIL") == 1
    assert run.stderr == f"error: not verified: {QUESTION}\n"
    assert json.loads((tmp_path / "out.json").read_text())["passed"] is False
    run = verify(copy, "--json")
    assert run.exit_code == 1
    assert json.loads(run.stdout)["passed"] is False


def test_another_runner_beside_it(bundle_path):
    run = verify(bundle_path, "--against", "onnxruntime", "--json")
    assert run.exit_code == 0, run.output
    one, other = json.loads(run.stdout)["results"]
    assert [c["question"] for c in one["checks"]] == [c["question"] for c in other["checks"]]
    assert one["seconds"].keys() == other["seconds"].keys()
    table = verify(bundle_path, "--against", "onnxruntime").stdout
    assert table.splitlines()[0].count("ONNX Runtime") == 2


def test_what_cannot_be_verified_is_one_line(bundle_path, tmp_path):
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(tmp_path / "four")
    assert json.loads((tmp_path / "four/manifest.json").read_text())["format_version"] == 4
    assert refused(verify(tmp_path / "four"), "nothing to verify with", "format version 5")
    assert refused(verify(tmp_path), "no bundle here")
    assert refused(verify(bundle_path, "--runner", "tensorrt"), "is not a runner: the runners are")
    assert refused(verify(bundle_path, "--runner", "mnn"), "not compiled for mnn: elic-export compile")
    assert refused(verify(bundle_path, "--against", "mnn"), "not compiled for mnn")
    assert refused(verify(bundle_path, "--record", tmp_path), str(tmp_path))


@pytest.mark.parametrize("runner", ["mnn", "auto"])
def test_a_compiled_runner_beside_onnx_runtime(compiled_path, runner):
    """MNN by its name, and whatever is the fastest here."""
    run = verify(compiled_path, "--runner", runner, "--against", "onnxruntime", "--json")
    assert run.exit_code == 0, run.output
    one, other = json.loads(run.stdout)["results"]
    assert other["runner"].startswith("ONNX Runtime ")
    assert runner == "auto" or one["runner"].startswith("MNN ")
    assert one["seconds"].keys() == other["seconds"].keys() == {"g_a_h_a", "g_s"}
