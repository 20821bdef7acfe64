"""What an image costs per pixel: a model of few features in g_a and g_s, and the latent of the embedded one."""

import importlib.util
import sys
from pathlib import Path

import pytest
from checkpoint_files import content, saved
from elic_export.bundle import export_bundle
from elic_export.exact.calibration import calibrate, crops_of
from elic_export.exact.deployment import deploy_exact
from elic_models import load_checkpoint
from elic_runtime.images import read_image, write_image
from elic_runtime.shapes import Extent

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts/large_images.py"
THIN = (8, 320, (16, 16, 32, 64, 192))
"""N, M and the groups."""

MOST = 40
"""Bytes per pixel; about 30 are needed, and 66 were where arrays were kept that no pass needs."""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("large_images", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["large_images"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def thin_path(photos, config, tmp_path_factory):
    """A bundle of 512x512."""
    folder = tmp_path_factory.mktemp("thin")
    checkpoint = load_checkpoint(saved(folder, content("chandelier", THIN), "thin.safetensors"))
    deployment = deploy_exact(checkpoint, calibrate(checkpoint.model, crops_of(photos / "chelsea.png")[:1]))
    export_bundle(deployment, config.model_copy(update={"shape": Extent.one(512, 512)}), folder / "bundle")
    return folder / "bundle"


def test_memory_grows_by_the_latent_and_no_more(script, thin_path, photos, tmp_path):
    photograph = read_image(photos / "chelsea.png")
    peaks = {}
    for megapixels in (2, 6):
        source, coded, target = (tmp_path / f"{megapixels}.{suffix}" for suffix in ("tif", "elic", "out.tif"))
        write_image(source, script.filled(photograph, megapixels))
        _, compress = script.measured("compress", source, coded, str(thin_path))
        _, decompress = script.measured("decompress", coded, target, str(thin_path))
        peaks[megapixels] = compress, decompress
    grown = [(large - small) / 4e6 for small, large in zip(peaks[2], peaks[6], strict=True)]
    assert all(10 < per_pixel < MOST for per_pixel in grown), (grown, peaks)
