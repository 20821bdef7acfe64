"""Every variant of ELIC through the exporter and the codec, on seeded weights at small widths."""

import pytest
import seeded
import torch
from elic_export.bundle import export_bundle
from elic_export.config import ExportConfig
from elic_export.exact.calibration import calibrate
from elic_export.exact.deployment import deploy_exact, deploy_float
from elic_export.parity.measure import measure
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_models import ELIC, ModelSpec, load_checkpoint
from elic_models.checkpoints.keys import checkpoint_keys
from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.images import write_image
from elic_runtime.shapes import Extent
from measured import points_of

VARIANTS = {
    "chandelier": (24, 32, (4, 4, 8, 16)),
    "jiang": (16, 24, (4, 8, 12)),
    "compressai-official": (24, 16, (2, 4, 4, 6)),
    "compressai-chandelier": (16, 24, (4, 8, 12)),
}


@pytest.fixture(scope="module", params=VARIANTS)
def seeded_checkpoint(request, tmp_path_factory):
    spec = ModelSpec(*VARIANTS[request.param], request.param)
    keys = {checkpoint_keys(name, spec)[0]: p.shape for name, p in ELIC(spec).named_parameters()}
    path = tmp_path_factory.mktemp("seeded") / f"{request.param}.pth"
    torch.save(seeded.tensors(keys), path)
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def picture(cat):
    return cat[100:164, 150:278]


def export(deployment, folder, **changes):
    config = {
        "form": "static",
        "shape": Extent.one(64, 128),
        "rewrites": ("merge_g_a_h_a", "split_g_s", "deconv_to_depth_to_space"),
        "arithmetic": deployment.arithmetic,
    }
    export_bundle(deployment, ExportConfig.model_validate(config | changes), folder)
    return Bundle(folder)


@pytest.mark.parametrize("arithmetic", ["exact", "float"])
def test_a_bundle_is_the_model_and_codes(seeded_checkpoint, picture, tmp_path, arithmetic):
    model = seeded_checkpoint.model
    deployment = (
        deploy_float(seeded_checkpoint)
        if arithmetic == "float"
        else deploy_exact(seeded_checkpoint, calibrate(model, [picture]))
    )
    bundle = export(deployment, tmp_path / "bundle")
    assert (bundle.manifest.model.variant, bundle.manifest.model.N) == (model.spec.variant, model.spec.N)
    write_image(tmp_path / "cat.png", picture)
    limits = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "fp32", arithmetic)
    report = measure(deployment, bundle, [tmp_path / "cat.png"], limits)
    # What quantization costs is a question to trained weights: noise has no rate to speak of.
    asked = [f for f in report.findings if f.question.split(":")[0] in ("graphs", "passes", "backends")]
    asked += [
        f
        for f in report.findings
        if f.question in ("streams: not CompressAI's bytes", "pictures: g_s off, 8-bit steps")
    ]
    assert len(asked) == (6 if arithmetic == "exact" else 5)
    assert all(f.passed for f in asked), [f for f in asked if not f.passed]
    codec = Codec.load(bundle.folder)
    data = codec.compress(picture)
    assert len(data) > 300
    assert codec.decompress(data).shape == picture.shape


@pytest.mark.slow
def test_ranges_and_end_to_end(seeded_checkpoint, picture, tmp_path):
    model = seeded_checkpoint.model
    deployment = deploy_float(seeded_checkpoint)
    extent = Extent.model_validate({"min": {"height": 64, "width": 64}, "max": {"height": 128, "width": 192}})
    dynamic = export(deployment, tmp_path / "dynamic", form="dynamic", shape=extent)
    codec = Codec.load(dynamic.folder)
    assert codec.decompress(codec.compress(picture)).shape == picture.shape
    graph = export(deployment, tmp_path / "no-entropy", form="no-entropy", rewrites=())
    write_image(tmp_path / "cat.png", picture)
    (result,) = points_of(graph.folder, tmp_path / "cat.png")
    with torch.inference_mode():
        forward = model(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255)
    bits = -sum(float(p.double().log2().sum()) for p in forward["likelihoods"].values())
    assert result.bpp == pytest.approx(bits / (64 * 128), rel=2e-3)
