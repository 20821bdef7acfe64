"""What tests share: a tiny model of seeded weights and its bundles, the embedded checkpoint and one bundle of it.

What was learned matters to few tests: they take fixtures called `trained_...`. All others take the tiny model, whose
bundles are exported in a second or two. Nothing is mocked: images are photographs that scikit-image ships, sessions
are ONNX Runtime's.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage
from checkpoint_files import content, saved
from copies import linked
from elic_export.api import compile_bundle
from elic_export.bundle import export_bundle
from elic_export.config import ExportConfig
from elic_export.errors import ExportError
from elic_export.exact.calibration import Calibration, calibrate, crops_of, read_calibration
from elic_export.exact.deployment import Deployment, deploy_exact, deploy_float
from elic_models import Checkpoint, default_checkpoint, load_checkpoint
from elic_runtime import Codec
from elic_runtime.images import read_image
from elic_runtime.shapes import Extent
from filelock import FileLock

PHOTOS = Path(skimage.__file__).parent / "data"


TINY = (16, 24, (4, 4, 4, 4, 8))
"""N, M and the groups of the tiny model: five slices, as the embedded one has."""

SLOW = (
    *("checkpoint", "calibration", "bundle_path", "float_bundle_path", "no_entropy_path", "dynamic_path"),
    *("trained_checkpoint", "trained_calibration", "trained_path", "compiled_path", "folder", "edge"),
)
"""Fixtures that load, calibrate, export or install: tests that need them come last, in this order."""


def pytest_collection_modifyitems(items):
    def slowest(item):
        return max((i + 1 for i, name in enumerate(SLOW) if name in item.fixturenames), default=0)

    items.sort(key=slowest)


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of scikit-image's photographs."""
    return PHOTOS


@pytest.fixture(scope="session")
def cat() -> np.ndarray:
    """A photograph, uint8 [300, 451, 3]."""
    return read_image(PHOTOS / "chelsea.png")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Checkpoint:
    """A tiny ELIC of seeded weights: of everything that does not depend on what was learned."""
    path = saved(tmp_path_factory.mktemp("checkpoint"), content("chandelier", TINY), "tiny.safetensors")
    return load_checkpoint(path)


@pytest.fixture(scope="session")
def trained_checkpoint() -> Checkpoint:
    """The embedded one."""
    return load_checkpoint(default_checkpoint())


@pytest.fixture(scope="session")
def calibration(checkpoint) -> Calibration:
    """Of the tiny model, on a few crops."""
    return calibrate(checkpoint.model, crops_of(PHOTOS / "chelsea.png")[::8])


@pytest.fixture(scope="session")
def trained_calibration() -> Calibration:
    """On the shipped photographs, as every export does by default: stored, since that takes longer than most tests.

    `test_calibration.py` compares it with what calibration gives now.
    """
    return read_calibration(Path(__file__).parent / "export/exact/embedded-calibration.npz")


@pytest.fixture(scope="session")
def trained_deployment(trained_checkpoint, trained_calibration) -> Deployment:
    """The embedded model in exact arithmetic."""
    return deploy_exact(trained_checkpoint, trained_calibration)


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes a folder of a name for all of pytest's processes: the first that asks fills it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    shared.mkdir(exist_ok=True)

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        path, unfinished = shared / name, shared / f"unfinished-{name}"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                fill(unfinished)
                unfinished.rename(path)
        return path

    return folder


@pytest.fixture(scope="session")
def trained_path(config, request, once) -> Path:
    """A bundle of the embedded model, exact as by default."""

    def fill(path: Path) -> None:
        export_bundle(request.getfixturevalue("trained_deployment"), config, path)

    return once("trained-128x192", fill)


COMPILERS = ("mnn", "openvino", "iree")
"""Those that the development environment has."""


@pytest.fixture(scope="session")
def compiled_path(trained_path, once) -> Path:
    """The same bundle, compiled with every compiler that is installed with the tests; copy it before changing it."""

    def fill(path: Path) -> None:
        for result in compile_bundle(linked(trained_path, path), COMPILERS):
            if isinstance(result, ExportError):
                raise result

    return once("compiled-128x192", fill)


@pytest.fixture(scope="session")
def trained_codec(trained_path) -> Codec:
    return Codec.load(trained_path)


@pytest.fixture(scope="session")
def deployment(checkpoint, calibration) -> Deployment:
    """The model in exact arithmetic."""
    return deploy_exact(checkpoint, calibration)


@pytest.fixture(scope="session")
def float_deployment(checkpoint) -> Deployment:
    return deploy_float(checkpoint)


@pytest.fixture(scope="session")
def config() -> ExportConfig:
    """The default export, at a shape that takes little time and is not square."""
    return ExportConfig(
        form="static", shape=Extent.one(128, 192), rewrites=("merge_g_a_h_a", "deconv_to_depth_to_space")
    )


@pytest.fixture(scope="session")
def bundle_path(checkpoint, deployment, config, tmp_path_factory) -> Path:
    """An exported bundle, exact as by default; copy it before changing it."""
    path = tmp_path_factory.mktemp("bundle") / "static-128x192"
    export_bundle(deployment, config, path)
    return path


@pytest.fixture(scope="session")
def float_bundle_path(checkpoint, float_deployment, config, tmp_path_factory) -> Path:
    """The same in float arithmetic."""
    path = tmp_path_factory.mktemp("float") / "static-128x192"
    export_bundle(float_deployment, config.model_copy(update={"arithmetic": "float"}), path)
    return path


@pytest.fixture(scope="session")
def dynamic_config() -> ExportConfig:
    """A dynamic export with everything in it, of a range that takes little time."""
    return ExportConfig.model_validate(
        {
            "form": "dynamic",
            "shape": {"min": {"height": 64, "width": 64}, "max": {"height": 192, "width": 256}},
            "decoder_shape": {"min": {"height": 64, "width": 64}, "max": {"height": 256, "width": 320}},
            "rewrites": ("merge_g_a_h_a", "split_g_s", "deconv_to_depth_to_space"),
        }
    )


@pytest.fixture(scope="session")
def dynamic_path(checkpoint, deployment, dynamic_config, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("dynamic") / "dynamic-192x256"
    export_bundle(deployment, dynamic_config, path)
    return path


@pytest.fixture(scope="session")
def no_entropy_path(checkpoint, float_deployment, tmp_path_factory) -> Path:
    """One end-to-end graph for any size up to 256x320."""
    config = ExportConfig.model_validate(
        {
            "form": "no-entropy",
            "shape": {"min": {"height": 64, "width": 64}, "max": {"height": 256, "width": 320}},
            "arithmetic": "float",
            "rewrites": ("deconv_to_depth_to_space",),
        }
    )
    path = tmp_path_factory.mktemp("no-entropy") / "no-entropy-256x320"
    export_bundle(float_deployment, config, path)
    return path


@pytest.fixture
def copy(bundle_path, tmp_path):
    """A bundle that a test may change."""
    return shutil.copytree(bundle_path, tmp_path / "bundle")


@pytest.fixture(scope="session")
def codec(bundle_path) -> Codec:
    return Codec.load(bundle_path)
