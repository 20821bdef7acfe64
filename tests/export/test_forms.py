"""Batches and precisions, which every form can have."""

from collections import Counter

import numpy as np
import onnx
import pytest
from elic_export.bundle import export_bundle
from elic_export.config import ExportConfig
from elic_export.exact.deployment import deploy_float
from elic_export.parity.measure import measure
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.images import write_image
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.shapes import Batch, Extent
from measured import points_of

THRESHOLDS = DEPLOY_CONFIGS / "thresholds.yaml"


@pytest.fixture(scope="module")
def batched_path(checkpoint, deployment, config, tmp_path_factory):
    """Three tiles at once."""
    path = tmp_path_factory.mktemp("batched") / "bundle"
    batched = config.model_copy(update={"batch": Batch(min=3, max=3), "shape": Extent.one(64, 128)})
    export_bundle(deployment, batched, path)
    return path


@pytest.fixture(scope="module")
def open_path(checkpoint, deployment, dynamic_config, tmp_path_factory):
    """One to three tiles at once, of any shape in a range."""
    path = tmp_path_factory.mktemp("open") / "bundle"
    export_bundle(deployment, dynamic_config.model_copy(update={"batch": Batch(min=1, max=3)}), path)
    return path


def test_a_fixed_batch_codes_groups_of_tiles(batched_path, dynamic_path, cat):
    """Tile by tile the same symbols as a bundle of one at a time, whatever lies beside it; the last group is filled."""
    manifest = Bundle(batched_path).manifest
    assert manifest.subgraphs["context_2_nonanchor"].inputs[0].shape == (3, 4, "height_16", "width_32")
    codec, single = Codec.load(batched_path), Codec.load(dynamic_path)
    image = cat[:120, :380]  # 2 x 3 tiles
    data = codec.compress(image)
    assert np.abs(codec.decompress(data).astype(int) - single.decompress(data)).max() <= 1
    four = cat[:64, :500]
    assert (
        np.abs(codec.decompress(codec.compress(four)).astype(int) - single.decompress(codec.compress(four))).max() <= 1
    )
    assert codec.compress(image[:64, :128]) == single.compress(image[:64, :128])


def test_many_images_share_a_batch(batched_path, cat):
    """Four images of one tile are two runs of each subgraph, not four, and the same files."""
    ran = Counter()

    def counted(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)
        return lambda inputs: ran.update([name]) or run(inputs)

    codec = Codec.load(batched_path, runner=counted)
    images = [cat[top : top + 64, left : left + 128] for top, left in ((0, 0), (9, 40), (100, 200), (180, 3))]
    ran.clear()
    files = list(codec.compress_many(images))
    assert set(ran.values()) == {2}
    assert files == [codec.compress(image) for image in images]
    ran.clear()
    pictures = list(codec.decompress_many(files))
    assert set(ran.values()) == {2}
    assert all((a == codec.decompress(b)).all() for a, b in zip(pictures, files, strict=True))
    # A tile that has neighbours from other images, in the middle of a batch.
    mixed = [cat[:64, :300], cat[10:70, :100], cat[:130, :128]]
    assert list(codec.compress_many(mixed)) == [codec.compress(image) for image in mixed]


def test_parity_of_a_batch(checkpoint, deployment, batched_path, cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[100:164, 150:400])
    limits = read_thresholds(THRESHOLDS, "fp32", "exact")
    report = measure(deployment, Bundle(batched_path), [tmp_path / "cat.png"], limits)
    assert report.passed, [f for f in report.findings if not f.passed]


def test_an_open_batch(open_path, codec, cat):
    (x,) = Bundle(open_path).manifest.subgraphs["g_a"].inputs
    assert (x.shape, x.min_shape, x.max_shape) == (("batch", 3, "height", "width"), (1, 3, 64, 64), (3, 3, 192, 256))
    opened = Codec.load(open_path)
    data = codec.compress(cat[:120, :180])
    assert np.abs(opened.decompress(data).astype(int) - codec.decompress(data)).max() <= 1


def test_a_batch_end_to_end(checkpoint, float_deployment, no_entropy_path, cat, tmp_path):
    config = ExportConfig.model_validate(
        {"form": "no-entropy", "shape": {"height": 128, "width": 192}, "arithmetic": "float", "batch": 2}
    )
    export_bundle(float_deployment, config, tmp_path / "bundle")
    write_image(tmp_path / "photos/tiles.png", cat[:128, :570])  # three tiles: the last one alone in its group
    write_image(tmp_path / "tile.png", cat[:128, :192])
    (tiles,) = points_of(tmp_path / "bundle", tmp_path / "photos/tiles.png")
    (tile,) = points_of(tmp_path / "bundle", tmp_path / "tile.png")
    (alone,) = points_of(no_entropy_path, tmp_path / "tile.png")
    assert tile.bpp == pytest.approx(alone.bpp, rel=1e-3)
    assert tiles.bpp == pytest.approx(tile.bpp, rel=0.5)
    assert tile.psnr_db == pytest.approx(alone.psnr_db, abs=0.01)


def weights(path, name):
    graph = onnx.load(path / f"{name}.onnx").graph
    return {t.data_type for t in graph.initializer if t.dims and len(t.dims) == 4}, graph


@pytest.mark.slow
def test_mixed_precision_keeps_symbols_exact(trained_deployment, config, trained_codec, cat, tmp_path):
    deployment, codec = trained_deployment, trained_codec
    mixed = config.model_copy(update={"precision": "mixed"})
    manifest = export_bundle(deployment, mixed, tmp_path / "bundle")
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    for name in manifest.subgraphs:
        transforms = name in ("g_a", "h_a", "g_a_h_a", "g_s")
        found, graph = weights(tmp_path / "bundle", name)
        assert found == {half if transforms else single}, name
        assert {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)} == {single}
    assert manifest.fingerprint == codec.bundle.manifest.fingerprint
    data = codec.compress(cat[:120, :180])
    coded = Codec.load(tmp_path / "bundle")
    assert np.abs(coded.decompress(data).astype(int) - codec.decompress(data)).max() <= 2
    codec.decompress(coded.compress(cat[:120, :180]))
    write_image(tmp_path / "cat.png", cat[50:170, 90:270])
    limits = read_thresholds(THRESHOLDS, "mixed", "exact")
    report = measure(deployment, Bundle(tmp_path / "bundle"), [tmp_path / "cat.png"], limits)
    assert report.passed, [f for f in report.findings if not f.passed]
    (image,) = report.images
    assert abs(image.half_file_bytes - image.file_bytes) + abs(image.half_psnr_db - image.file_psnr_db) > 0
    assert image.half_file_bytes == pytest.approx(image.file_bytes, rel=0.01)
    assert image.half_psnr_db == pytest.approx(image.file_psnr_db, abs=0.1)


@pytest.mark.slow
def test_fp16_inputs_and_outputs(trained_deployment, config, trained_codec, cat, tmp_path):
    deployment, codec = trained_deployment, trained_codec
    mixed = config.model_copy(update={"precision": "mixed", "tensors": "fp16"})
    manifest = export_bundle(deployment, mixed, tmp_path / "bundle")
    assert {t.dtype for t in manifest.subgraphs["g_s"].inputs + manifest.subgraphs["g_s"].outputs} == {"float16"}
    assert {t.dtype for t in manifest.subgraphs["h_s"].inputs} == {"float32"}
    data = codec.compress(cat[:120, :180])
    decoded = Codec.load(tmp_path / "bundle").decompress(data)
    assert np.abs(decoded.astype(int) - codec.decompress(data)).max() <= 2
    codec.decompress(Codec.load(tmp_path / "bundle").compress(cat[:120, :180]))


@pytest.mark.slow
def test_everything_in_fp16(trained_checkpoint, config, cat, tmp_path):
    float_deployment = deploy_float(trained_checkpoint)
    half = config.model_copy(update={"precision": "fp16", "arithmetic": "float"})
    manifest = export_bundle(float_deployment, half, tmp_path / "bundle")
    for name in manifest.subgraphs:
        assert weights(tmp_path / "bundle", name)[0] == {onnx.TensorProto.FLOAT16}, name
    write_image(tmp_path / "cat.png", cat[50:170, 90:270])
    limits = read_thresholds(THRESHOLDS, "fp16", "float")
    report = measure(float_deployment, Bundle(tmp_path / "bundle"), [tmp_path / "cat.png"], limits)
    assert report.passed, [f for f in report.findings if not f.passed]
    assert any(p.differing_indexes for p in report.passes)  # that is what fp16 does to a context model


@pytest.mark.parametrize(("precision", "arithmetic"), [("mixed", "exact"), ("fp16", "float")])
def test_likelihoods_stay_in_fp32(
    checkpoint, deployment, float_deployment, no_entropy_path, cat, tmp_path, precision, arithmetic
):
    """The smallest of fp16 is 6e-8: a likelihood of 1e-9 would be 0, its bits infinite."""
    config = ExportConfig.model_validate(
        {
            "form": "no-entropy",
            "shape": {"height": 128, "width": 192},
            "precision": precision,
            "tensors": "fp16",
            "arithmetic": arithmetic,
            "rewrites": ("deconv_to_depth_to_space",),
        }
    )
    deployed = deployment if arithmetic == "exact" else float_deployment
    info = export_bundle(deployed, config, tmp_path / "bundle").subgraphs["no_entropy"]
    assert [t.dtype for t in (*info.inputs, *info.outputs)] == ["float16", "float16", "float32", "float32"]
    write_image(tmp_path / "cat.png", cat[:128, :192])
    (found,) = points_of(tmp_path / "bundle", tmp_path / "cat.png")
    (expected,) = points_of(no_entropy_path, tmp_path / "cat.png")
    assert found.bpp == pytest.approx(expected.bpp, rel=0.02)
    assert found.psnr_db == pytest.approx(expected.psnr_db, abs=0.1)
