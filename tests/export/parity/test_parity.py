import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from elic_export.cli import app
from elic_export.errors import ExportError
from elic_export.exact.deployment import deploy_exact, deploy_float
from elic_export.metrics import TensorError, code_length
from elic_export.parity.judge import judge
from elic_export.parity.measure import measure
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_models import load_checkpoint
from elic_runtime.bundle import Bundle
from elic_runtime.images import write_image
from elic_runtime.tables import CdfTables
from typer.testing import CliRunner

LIMITS, FLOAT_LIMITS = (
    read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "fp32", arithmetic) for arithmetic in ("exact", "float")
)


TILES = 2


@pytest.fixture(scope="module")
def photo(cat, tmp_path_factory):
    """Two tiles wide, one high: a grid, and padding."""
    path = tmp_path_factory.mktemp("photo") / "cat.png"
    write_image(path, cat[50:170, 90:330])
    return path


@pytest.fixture(scope="module")
def measured(deployment, bundle_path, photo):
    """The report of two photographs; take a copy of it before changing anything."""
    return measure(deployment, Bundle(bundle_path), [photo, photo], LIMITS)


@pytest.fixture
def report(measured):
    return measured.model_copy(deep=True)


@pytest.fixture(scope="module")
def trained_report(trained_deployment, trained_path, photo):
    return measure(trained_deployment, Bundle(trained_path), [photo], LIMITS)


def symbols(bundle_path, images=1):
    return images * TILES * Bundle(bundle_path).manifest.model.M * 8 * 12


def check_model(report, bundle_path, images=1):
    assert report.passed, [f for f in report.findings if not f.passed]
    assert report.streams_compared == images * TILES * 11
    assert report.streams_differing == 0
    assert {s.subgraph for s in report.subgraphs} == Bundle(bundle_path).manifest.subgraphs.keys()
    assert len(report.passes) == 10
    assert sum(p.symbols for p in report.passes) == symbols(bundle_path, images)
    assert len(report.images) == images
    # A small image: framing counts.
    assert report.images[0].file_bpp == pytest.approx(report.images[0].torch_bpp, rel=0.15)


def test_the_float_bundle_is_the_model(checkpoint, float_deployment, float_bundle_path, photo):
    report = measure(float_deployment, Bundle(float_bundle_path), [photo], FLOAT_LIMITS)
    check_model(report, float_bundle_path)
    assert report.exactness == report.layers == []


def check_exact(report, bundle_path, images=1):
    assert len(report.exactness) >= 4
    assert all((b.symbols, b.differing) == (symbols(bundle_path, images), 0) for b in report.exactness)
    assert len(report.layers) == 3 + 5 * 4 + 4 * 3  # h_s, spatial and parameter nets, channel contexts
    for s in report.subgraphs:
        assert (s.max_abs_error == 0) == (s.subgraph == "h_s" or s.subgraph.startswith("context"))


def test_the_exact_bundle_is_the_model_on_every_backend(report, bundle_path):
    check_model(report, bundle_path, 2)
    check_exact(report, bundle_path, 2)


def test_the_embedded_checkpoint_s_bundle_is_the_model(trained_report, trained_path):
    check_model(trained_report, trained_path)
    check_exact(trained_report, trained_path)


def test_another_model_fails(checkpoint, float_deployment, float_bundle_path, photo):
    changed = load_checkpoint(checkpoint.path)
    with torch.no_grad():
        changed.model.contexts[0].aggregation[4].bias += 0.05
        changed.model.g_s[14].bias += 0.02
    other = dataclasses.replace(deploy_float(changed), model=checkpoint.model)  # its fingerprint, not its numbers
    report = measure(other, Bundle(float_bundle_path), [photo], FLOAT_LIMITS)
    failed = {f.question for f in report.findings if not f.passed}
    assert {"graphs: relative error", "pictures: g_s off, 8-bit steps", "pictures: PSNR off PyTorch's, dB"} <= failed
    assert not report.passed


def test_a_model_of_other_integers_is_refused(checkpoint, calibration, bundle_path, photo):
    changed = load_checkpoint(checkpoint.path)
    with torch.no_grad():
        changed.model.contexts[0].aggregation[4].bias += 0.05
    with pytest.raises(ExportError, match="quantizes to other integers"):
        measure(deploy_exact(changed, calibration), Bundle(bundle_path), [photo], LIMITS)


def test_a_flat_picture_passes(checkpoint, float_deployment, float_bundle_path, tmp_path):
    """It has no range to relate an error to, and few bytes to hide the ends of streams in."""
    write_image(tmp_path / "black.png", np.zeros((40, 50, 3), np.uint8))
    images = [tmp_path / "black.png"]
    report = measure(float_deployment, Bundle(float_bundle_path), images, FLOAT_LIMITS)
    assert report.passed, [f for f in report.findings if not f.passed]


def test_a_nan_fails(report):
    for spoiled in report.subgraphs:
        right, spoiled.relative_error = spoiled.relative_error, float("nan")
        findings = judge(LIMITS, report.subgraphs, report.passes, report.images, 0, report.exactness)
        spoiled.relative_error = right
        assert not findings[0].passed
        assert findings[0].worst == f"{spoiled.subgraph} {spoiled.tensor}"


@pytest.mark.parametrize("spoiled", [0, 1])
def test_a_nan_of_any_image_fails(report, spoiled):
    report.images[spoiled].file_psnr_db = float("nan")
    findings = judge(LIMITS, report.subgraphs, report.passes, report.images, 0, report.exactness)
    assert [f.question for f in findings if not f.passed] == ["pictures: PSNR off PyTorch's, dB"]


def test_a_symbol_that_a_backend_decodes_otherwise_fails(report):
    report.exactness[1].differing = 1
    findings = judge(LIMITS, report.subgraphs, report.passes, report.images, 0, report.exactness)
    (failed,) = (f for f in findings if not f.passed)
    assert (failed.question, failed.worst) == ("backends: symbols differing", report.exactness[1].backend)


def test_the_command_writes_reports_and_sets_the_exit_code(checkpoint, bundle_path, photo, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(bundle_path, bundle)
    given = [str(bundle), "--images", str(photo), "--checkpoint", str(checkpoint.path)]
    run = CliRunner().invoke(app, ["parity", *given, "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["passed"] is True
    assert json.loads((bundle / "parity.json").read_text()) == json.loads(run.stdout)
    page = (bundle / "parity.html").read_text()
    assert "passed" in page
    assert "context_4_nonanchor" in page

    thresholds = tmp_path / "strict.yaml"
    thresholds.write_text((DEPLOY_CONFIGS / "thresholds.yaml").read_text().replace("5.0e-6", "1.0e-12"))
    run = CliRunner().invoke(app, ["parity", *given, "--thresholds", str(thresholds)])
    assert run.exit_code == 1
    assert run.stderr == "error: parity fails: graphs: relative error\n"


def test_tensor_error_adds_up_runs():
    error = TensorError()
    error.add(np.array([0.0, 4.0], np.float32), np.array([0.0, 4.0], np.float32))
    assert (error.max_abs, error.cosine, error.psnr_db) == (0.0, 1.0, np.inf)
    error.add(np.array([-4.0, 2.0], np.float32), np.array([-4.0, 2.5], np.float32))
    assert error.max_abs == 0.5
    assert error.relative == 0.5 / 8
    assert error.psnr_db == pytest.approx(10 * np.log10(64 / (0.25 / 4)))


def test_tensor_error_keeps_a_nan():
    error = TensorError()
    right = np.array([0.0, 4.0], np.float32)
    error.add(right, np.array([np.nan, 4.0], np.float32))
    error.add(right, right)
    assert not error.relative <= 1e9


def test_code_length_counts_bins_and_nibbles():
    tables = CdfTables(np.array([[0, 32768, 49152, 65536]], np.int32), np.array([4], np.int32), np.array([0], np.int32))
    indexes = np.zeros(2, np.uint8)
    assert code_length(np.array([0, 1], np.int32), indexes, tables) == 3.0
    # 2 is out of range: the escape's 2 bits, and a nibble that says none follow.
    assert code_length(np.array([2, 0], np.int32), indexes, tables) == 2 + 4 + 1
