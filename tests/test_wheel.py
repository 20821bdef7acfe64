"""The wheel, really installed: alone, with its extras, on numpy 2, and with the lowest versions that it declares.

Each environment is one that pip makes of the wheel and of versions that `constraints.txt` or `pyproject.toml` states.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from elic_export.cli import DEFAULT_CONFIGS
from elic_runtime.files import write_bytes
from elic_runtime.images import read_image, write_image
from elic_runtime.manifest import TARGETS_NAME
from elic_runtime.metrics import psnr
from elic_runtime.verify import PHOTOGRAPHS
from halves import ship
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info < (3, 11):
    import tomli as tomllib
else:
    import tomllib

ROOT = Path(__file__).parents[1]
EXPORT, RUNTIME = ROOT / "export/elic_export", ROOT / "runtime/elic_runtime"

pytestmark = pytest.mark.slow
MAX_WHEEL_BYTES = 1_000_000
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def run(*command, **options):
    done = attempt(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attempt(*command, **options):
    command = [str(part) for part in command]
    environment = {"env": ENVIRONMENT} | options
    return subprocess.run(command, capture_output=True, text=True, check=False, **environment)


def install(folder, *requirements, constraints):
    """The bin folder of a new environment with these requirements."""
    venv.create(folder / "venv", with_pip=True)
    (folder / "constraints.txt").write_text("\n".join(constraints))
    given = ("--quiet", "--constraint", folder / "constraints.txt")
    run(folder / "venv/bin/pip", "install", *given, *requirements)
    return folder / "venv/bin"


def pinned_versions(*but):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if re.split(r"[=<> ;]", line)[0] not in but]


def declared():
    """The library's own requirements, those of this Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = map(Requirement, project["dependencies"])
    return [each for each in found if each.marker is None or each.marker.evaluate()]


def lowest_versions():
    """Each of them with its lowest version."""
    for requirement in declared():
        (floor,) = (s.version for s in requirement.specifier if s.operator == ">=")
        yield requirement.name, Version(floor)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def pure_wheel(tmp_path_factory):
    """The wheel for platforms that have no other."""
    folder = tmp_path_factory.mktemp("pure")
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    run(*command, env=ENVIRONMENT | {"ELIC_RANS_CC": ""})
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def edge(wheel, tmp_path_factory):
    """The library with its command line."""
    return install(tmp_path_factory.mktemp("edge"), f"{wheel}[cli]", constraints=pinned_versions())


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory):
    """The library alone, on numpy 2, which the exporter cannot have."""
    constraints = [*pinned_versions("numpy"), "numpy>=2"]
    return install(tmp_path_factory.mktemp("plain"), wheel, constraints=constraints)


@pytest.fixture(scope="module")
def lowest(wheel, tmp_path_factory):
    """The library alone, with the lowest versions of what it declares."""
    constraints = [f"{name}=={floor}" for name, floor in lowest_versions()]
    return install(tmp_path_factory.mktemp("lowest"), wheel, constraints=constraints)


@pytest.fixture(scope="module")
def engines(wheel, tmp_path_factory):
    """The library with its command line and the engines that run here."""
    constraints = pinned_versions()
    return install(tmp_path_factory.mktemp("engines"), f"{wheel}[cli,mnn,openvino,iree]", constraints=constraints)


@pytest.fixture
def no_compiler(edge):
    """An environment whose PATH has the installed commands alone."""
    return {"env": ENVIRONMENT | {"PATH": str(edge)}}


@pytest.fixture(scope="module")
def photograph(cat, tmp_path_factory):
    path = tmp_path_factory.mktemp("photograph") / "cat.png"
    write_image(path, cat[:140, :200])
    return path


def test_the_wheel_holds_code_only(wheel):
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    names = run(sys.executable, "-m", "zipfile", "--list", wheel)
    for package in ("elic_models", "elic_export", "elic_runtime"):
        assert f"{package}/__init__.py" in names
    templates = [path for folder in ("parity", "compiling", "targets") for path in (EXPORT / folder).glob("*.j2")]
    pages = [path for end in ("j2", "css", "js") for path in (RUNTIME / "reports").glob(f"*.{end}")]
    photographs = sorted((EXPORT / "photographs").glob("*.webp"))
    assert len(templates) > 10
    assert len(photographs) == PHOTOGRAPHS
    assert len(pages) > 6
    for path in (*templates, *photographs, *pages):
        assert "/".join(path.relative_to(ROOT).parts[1:]) in names
    for name in ("thresholds.yaml", *DEFAULT_CONFIGS.values()):
        assert f"elic_export/deploy_configs/{name}" in names
    assert ".png" not in names
    assert ".safetensors" not in names
    assert "tests/" not in names


def test_a_bundle_runs_without_pytorch(edge, codec, bundle_path, cat, photograph, tmp_path):
    """Files cross between the two environments; the pictures are the same."""
    missing = "import importlib.util as u; print([m for m in ('torch', 'onnx', 'compressai') if u.find_spec(m)])"
    assert run(edge / "python", "-c", missing).strip() == "[]"
    a, b, bundle = tmp_path / "a.elic", tmp_path / "b.elic", ("--bundle", bundle_path)
    run(edge / "elic", "compress", photograph, a, *bundle)
    run(edge / "elic", "decompress", a, tmp_path / "a.png", *bundle)
    assert (read_image(tmp_path / "a.png") == codec.decompress(a.read_bytes())).all()
    write_bytes(b, codec.compress(cat[:140, :200]))
    run(edge / "elic", "decompress", b, tmp_path / "b.png", *bundle)
    assert np.array_equal(read_image(tmp_path / "b.png"), read_image(tmp_path / "a.png"))


def versions_in(environment):
    """The versions that an environment has of what the library requires, by name."""
    names = [requirement.name for requirement in declared()]
    code = f"from importlib.metadata import version\nfor name in {names}: print(version(name))"
    return dict(zip(names, map(Version, run(environment / "python", "-c", code).split()), strict=True))


@pytest.mark.parametrize("which", ["plain", "lowest"])
def test_the_library_alone_decodes_what_it_coded(which, request, codec, bundle_path, photograph, tmp_path):
    environment = request.getfixturevalue(which)
    versions = versions_in(environment)
    if which == "lowest":
        assert versions == dict(lowest_versions())
    else:
        assert versions["numpy"].major == 2
    given = (bundle_path, photograph, tmp_path)
    assert "bpp" in run(environment / "python", "-W", "error", ROOT / "examples/round_trip.py", *given)
    # Another ONNX Runtime: g_s may round a pixel to the other side.
    here = codec.decompress((tmp_path / "photo.elic").read_bytes())
    assert np.abs(here.astype(int) - read_image(tmp_path / "photo.png")).max() <= 1


def test_camera_and_viewer_run_in_the_small_install(plain, codec, bundle_path, photograph, tmp_path):
    for half in ("encoder", "decoder"):
        ship(bundle_path, half, tmp_path / half)
    camera, viewer = (ROOT / f"examples/{name}.py" for name in ("camera", "viewer"))
    said = run(plain / "python", camera, tmp_path / "encoder", photograph.parent, tmp_path / "box")
    assert said.startswith("cat.elic: 200x140, ")
    said = run(plain / "python", viewer, tmp_path / "decoder", tmp_path / "box", tmp_path / "pictures")
    assert said == "cat.png is ready\n"
    here = codec.decompress((tmp_path / "box/cat.elic").read_bytes())
    assert np.abs(here.astype(int) - read_image(tmp_path / "pictures/cat.png")).max() <= 1


def test_a_plain_install_says_what_its_command_lacks(plain, tmp_path):
    done = attempt(plain / "elic", "--help", cwd=tmp_path)
    assert done.returncode == 2
    assert "elic-deploy[cli]" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_installed_wheel_codes_in_c_without_a_compiler(wheel, edge, no_compiler):
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    assert "entropy coder in C" in run(edge / "elic", "--version", **no_compiler)


def test_the_wheel_of_pure_python_writes_the_same_file_and_says_that_it_is_slow(
    pure_wheel, edge, bundle_path, photograph, tmp_path
):
    assert pure_wheel.name.endswith("-py3-none-any.whl")
    unpacked = tmp_path / "unpacked"
    run(edge / "python", "-m", "zipfile", "--extract", pure_wheel, unpacked)
    options = {"env": ENVIRONMENT | {"PYTHONPATH": str(unpacked)}}
    arguments = ("-m", "elic_runtime", "compress", photograph)
    run(edge / "python", *arguments, tmp_path / "c.elic", "--bundle", bundle_path)
    done = attempt(edge / "python", *arguments, tmp_path / "python.elic", "--bundle", bundle_path, **options)
    assert done.returncode == 0
    assert done.stderr.count("entropy coding runs in Python") == 1
    assert (tmp_path / "python.elic").read_bytes() == (tmp_path / "c.elic").read_bytes()


def test_what_an_install_without_the_exporter_lacks_is_said(edge, tmp_path):
    done = attempt(edge / "elic-export", "static", cwd=tmp_path)
    assert done.returncode == 2
    assert "elic-deploy[export]" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_openvino_decodes_a_file(engines, codec, bundle_path, photograph, tmp_path):
    """Its converter runs too; the decoder proves every symbol by the file's checksums."""
    bundle = shutil.copytree(bundle_path, tmp_path / "bundle")
    run(engines / "python", bundle / TARGETS_NAME / "openvino/convert.py")
    made = {path.stem for path in (bundle / TARGETS_NAME / "openvino/ir").glob("*.xml")}
    assert made == codec.bundle.manifest.subgraphs.keys()
    check_engine(engines, "openvino", codec, bundle, photograph, tmp_path)


def test_mnn_s_converter_runs(engines, codec, bundle_path, tmp_path):
    """Of the graphs that Winograd's algorithm may run."""
    bundle = shutil.copytree(bundle_path, tmp_path / "bundle")
    run(engines / "python", bundle / TARGETS_NAME / "mnn/convert.py")
    made = {path.name for path in (bundle / TARGETS_NAME / "mnn/models").iterdir()}
    assert made == {"g_a.mnn", "h_a.mnn", "g_a_h_a.mnn", "g_s.mnn"}


@pytest.mark.parametrize("engine", ["mnn", "openvino", "iree"])
def test_what_was_compiled_runs_where_pytorch_is_not(
    engines, engine, compiled_path, trained_codec, photograph, tmp_path
):
    """A device is verified, and files cross between it and the exporter's machine."""
    given, image = ("--bundle", compiled_path, "--runner", engine), read_image(photograph)
    run(engines / "elic", "verify", compiled_path, "--runner", engine)
    run(engines / "elic", "compress", photograph, tmp_path / "a.elic", *given)
    run(engines / "elic", "decompress", tmp_path / "a.elic", tmp_path / "a.png", *given)
    here = trained_codec.decompress((tmp_path / "a.elic").read_bytes())
    assert np.abs(here.astype(int) - read_image(tmp_path / "a.png")).max() <= 1
    assert psnr(image, here) > 28


def test_iree_decodes_a_file(engines, codec, bundle_path, photograph, tmp_path):
    """By modules of the bundle's own script."""
    bundle = shutil.copytree(bundle_path, tmp_path / "bundle")
    run(engines / "python", bundle / TARGETS_NAME / "iree/convert.py")
    made = {path.stem for path in (bundle / TARGETS_NAME / "iree/vmfb").iterdir()}
    assert made == codec.bundle.manifest.subgraphs.keys()
    check_engine(engines, "iree", codec, bundle, photograph, tmp_path)


def check_engine(engines, name, codec, bundle, photograph, tmp_path):
    picture = tmp_path / "picture.png"
    said = run(engines / "python", ROOT / f"examples/{name}_runner.py", bundle, photograph, picture)
    assert re.search(r"\d+ bytes, decoded by (OpenVINO|IREE) \d", said)
    here = codec.decompress(codec.compress(read_image(photograph)))
    assert np.abs(here.astype(int) - read_image(picture)).max() <= 1
