"""The edge install: the wheel alone, in an environment without PyTorch, runs a bundle."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from elic_export.cli import DEFAULT_CONFIGS
from elic_runtime.files import write_bytes
from elic_runtime.images import read_image, write_image

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow
MAX_WHEEL_BYTES = 1_000_000


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def edge(wheel, tmp_path_factory):
    """The bin folder of an environment with a plain install."""
    folder = tmp_path_factory.mktemp("edge") / "venv"
    venv.create(folder, with_pip=True)
    constraints = ROOT / "constraints.txt"
    run(folder / "bin/pip", "install", "--quiet", "--constraint", constraints, wheel)
    return folder / "bin"


def test_the_wheel_holds_code_only(wheel):
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    names = run(sys.executable, "-m", "zipfile", "--list", wheel)
    for package in ("elic_models", "elic_export", "elic_runtime"):
        assert f"{package}/__init__.py" in names
    for name in ("parity/parity.html.j2", "targets/README.md.j2", "targets/rknn.py.j2"):
        assert f"elic_export/{name}" in names
    for name in ("thresholds.yaml", *DEFAULT_CONFIGS.values()):
        assert f"elic_export/deploy_configs/{name}" in names
    assert ".png" not in names
    assert ".safetensors" not in names
    assert "tests/" not in names


def test_a_bundle_runs_without_pytorch(edge, codec, bundle_path, cat, tmp_path):
    """Files cross between the two environments; the pictures are the same."""
    missing = "import importlib.util as u; print([m for m in ('torch', 'onnx', 'compressai') if u.find_spec(m)])"
    assert run(edge / "python", "-c", missing).strip() == "[]"

    write_image(tmp_path / "cat.png", cat[:140, :200])
    for coder in ("constriction", "compressai"):
        run(
            edge / "elic",
            "compress",
            tmp_path / "cat.png",
            tmp_path / "a.elic",
            "--bundle",
            bundle_path,
            "--coder",
            coder,
        )
        run(edge / "elic", "decompress", tmp_path / "a.elic", tmp_path / "a.png", "--bundle", bundle_path)
        assert (read_image(tmp_path / "a.png") == codec.decompress((tmp_path / "a.elic").read_bytes())).all()
    write_bytes(tmp_path / "b.elic", codec.compress(cat[:140, :200]))
    run(edge / "elic", "decompress", tmp_path / "b.elic", tmp_path / "b.png", "--bundle", bundle_path)
    assert np.array_equal(read_image(tmp_path / "b.png"), read_image(tmp_path / "a.png"))


def test_what_a_plain_install_lacks_is_said(edge, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [edge / "elic-export", "static"], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert "elic-deploy[export]" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
