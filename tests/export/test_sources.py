"""A second run with nothing changed has nothing to do; anything that changes what comes out is noticed."""

import json
import shutil
import subprocess
import sys

import pytest
from elic_export.cli import app
from elic_export.config import ExportConfig
from elic_export.sources import sources_digest, up_to_date
from elic_models import default_checkpoint
from typer.testing import CliRunner

TINY = "form: no-entropy\nshape: {height: 64, width: 64}\narithmetic: float\n"


def export(*arguments):
    run = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def arguments(folder, checkpoint):
    """What exports into a folder of the fixture `exported`."""
    config, bundle = folder / "c.yaml", folder / "bundle"
    return ("no-entropy", "--config", config, "--out", bundle, "--checkpoint", checkpoint.path)


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """A folder with a small export, the bundle `bundle` of the config `c.yaml`."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "c.yaml").write_text(TINY)
    assert not export(*arguments(folder, checkpoint))["up_to_date"]
    return folder


def test_nothing_changed(exported, checkpoint):
    before = (exported / "bundle/manifest.json").stat()
    assert export(*arguments(exported, checkpoint))["up_to_date"]
    assert (exported / "bundle/manifest.json").stat().st_mtime_ns == before.st_mtime_ns


def test_the_answer_needs_no_pytorch(exported, checkpoint):
    code = (
        "import sys; from elic_export.cli import main; sys.argv[0] = 'elic-export'\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )
    command = map(str, arguments(exported, checkpoint))
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout


def test_a_changed_or_missing_file_is_exported_again(exported, checkpoint, tmp_path):
    sources = json.loads((exported / "bundle/manifest.json").read_text())["sources"]
    assert up_to_date(exported / "bundle", sources)
    assert not up_to_date(exported / "bundle", "0" * 64)
    assert not up_to_date(tmp_path / "none", sources)
    for spoil in (
        lambda folder: (folder / "no_entropy.onnx").write_bytes(b"other"),
        lambda folder: (folder / "entropy_tables.npz").unlink(),
        lambda folder: (folder / "targets/README.md").unlink(),
        lambda folder: (folder / "targets/README.md").write_text("edited"),
        lambda folder: edit(folder / "manifest.json", "fp32", "fp16"),
        lambda folder: edit(folder / "manifest.json", "elic-deploy", "elic-delpoy"),
    ):
        copied = shutil.copytree(exported / "bundle", tmp_path / "copy")
        spoil(copied)
        assert not up_to_date(copied, sources)
        shutil.rmtree(copied)
    (exported / "bundle/targets/README.md").write_text("edited")
    run = arguments(exported, checkpoint)
    assert not export(*run)["up_to_date"]
    assert export(*run)["up_to_date"]
    assert not export(*run, "--force")["up_to_date"]


@pytest.mark.parametrize("name", ["calibration.npz", "conformance.npz", "verify.npz"])
def test_a_codec_without_a_file_of_its_own_is_exported_again(copy, name):
    sources = json.loads((copy / "manifest.json").read_text())["sources"]
    assert up_to_date(copy, sources)
    (copy / name).unlink()
    assert not up_to_date(copy, sources)


@pytest.mark.parametrize("name", ["tiny-64x64", "tiny-64x64-fp16"])
def test_exports_that_differ_do_not_share_a_default_folder(tmp_path, monkeypatch, name):
    """A file is where the bundle is to come, so that the command says where that is without an export."""
    monkeypatch.chdir(tmp_path)
    precision = "fp16" if name.endswith("fp16") else "fp32"
    (tmp_path / f"{name}.yaml").write_text(f"{TINY}precision: {precision}\n")
    taken = tmp_path / "build" / name.replace("64x64", "64x128")
    taken.parent.mkdir()
    taken.touch()
    run = CliRunner().invoke(app, ["no-entropy", "--config", f"{name}.yaml", "--shape", "64x128"])
    assert run.exit_code == 2, run.output
    assert f"{taken}: exists and is not a bundle" in run.stderr


def test_what_an_export_depends_on(tmp_path, monkeypatch):
    config = ExportConfig.model_validate({"form": "static", "shape": {"height": 64, "width": 64}})
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"a")
    original = sources_digest(default_checkpoint(), config, photos)
    assert sources_digest(default_checkpoint(), config, photos) == original
    other = tmp_path / "other.pth"
    other.write_bytes(b"weights")
    found = {
        sources_digest(other, config, photos),
        sources_digest(default_checkpoint(), config.model_copy(update={"opset": 18}), photos),
        sources_digest(default_checkpoint(), config, None),
    }
    (photos / "a.png").write_bytes(b"b")
    found.add(sources_digest(default_checkpoint(), config, photos))
    monkeypatch.setattr("elic_export.sources.version", lambda name: "0.0")
    found.add(sources_digest(default_checkpoint(), config, photos))
    assert len(found | {original}) == 6


def test_sets_in_a_config_have_one_digest():
    """The order of allowed operators differs from process to process."""
    digests = set()
    for seed in "0", "1", "2":
        code = (
            "from elic_export.config import ExportConfig; from elic_export.sources import sources_digest\n"
            "from pathlib import Path\n"
            "c = ExportConfig.model_validate({'form': 'static', 'shape': {'height': 64, 'width': 64},\n"
            "  'allowed_operators': ['Conv', 'Relu', 'Add', 'Mul', 'Sigmoid', 'Clip', 'Floor', 'Concat']})\n"
            "print(sources_digest(Path('pyproject.toml'), c, None))"
        )
        run = [sys.executable, "-c", code]
        digests.add(subprocess.run(run, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout)
    assert len(digests) == 1
