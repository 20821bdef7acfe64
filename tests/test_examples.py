"""The examples run as they stand; those that need an engine run in `test_wheel.py`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elic_runtime.images import read_image, write_image
from halves import ship

EXAMPLES = Path(__file__).parents[1] / "examples"
ENGINES = {"openvino_runner", "iree_runner"}


@pytest.fixture(scope="module")
def photograph(cat, tmp_path_factory):
    path = tmp_path_factory.mktemp("photographs") / "cat.png"
    write_image(path, cat[:256, :256])
    return path


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / f"{name}.py", *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_every_example_is_run_and_listed():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for path in EXAMPLES.glob("*.py"):
        assert path.stem in ENGINES or f'run("{path.stem}"' in tests
        assert f"]({path.name})" in (EXAMPLES / "README.md").read_text()


def test_round_trip(bundle_path, photograph, tmp_path):
    done = run("round_trip", bundle_path, photograph, tmp_path)
    assert done.stdout.startswith("256x256 (width x height), ")
    assert f" {(tmp_path / 'photo.elic').stat().st_size} bytes, " in done.stdout
    assert read_image(tmp_path / "photo.png").shape == (256, 256, 3)
    failed = run("round_trip", tmp_path, photograph, tmp_path)
    assert failed.stderr.startswith(f"error: {tmp_path}")
    assert failed.returncode == 1


def test_camera_and_viewer(bundle_path, codec, photograph, tmp_path):
    """Each with its half of the bundle; what is no photograph, and what is damaged, is left out and named."""
    photographs = shutil.copytree(photograph.parent, tmp_path / "photographs")
    (photographs / "notes.txt").write_text("not a photograph")
    for half in ("encoder", "decoder"):
        ship(bundle_path, half, tmp_path / half)
    done = run("camera", tmp_path / "encoder", photographs, tmp_path / "box")
    assert done.stdout.startswith("cat.elic: 256x256, ")
    assert "notes.txt is left out: " in done.stdout
    (tmp_path / "box/cut.elic").write_bytes((tmp_path / "box/cat.elic").read_bytes()[:-9])
    done = run("viewer", tmp_path / "decoder", tmp_path / "box", tmp_path / "pictures")
    assert done.stdout.splitlines()[0] == "cat.png is ready"
    assert "cut.elic is left out: the file ends in " in done.stdout
    expected = codec.decompress(codec.compress(read_image(photograph)))
    assert (read_image(tmp_path / "pictures/cat.png") == expected).all()
    assert run("camera", tmp_path / "encoder", photographs, tmp_path / "box").stdout.count(".elic") == 0


@pytest.mark.slow
def test_export_checkpoint(checkpoint, photograph, tmp_path):
    """From the checkout, without the command."""
    done = run("export_checkpoint", checkpoint.path, photograph.parent, tmp_path / "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [line.split()[0] for line in done.stdout.splitlines()]
    assert set(verdicts) == {"pass"}
    assert len(verdicts) > 8
    shutil.rmtree(tmp_path / "bundle")
