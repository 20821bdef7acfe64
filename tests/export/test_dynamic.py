"""The dynamic form: one bundle for a range of shapes, and for the files of static bundles."""

import numpy as np
import onnx
import pytest
from elic_export.bundle import declare
from elic_export.config import ExportConfig
from elic_export.onnx_file import export_graph, sample_shapes
from elic_export.parity.measure import measure
from elic_export.passes.operators import STATIC_FORBIDDEN
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime import Codec, WrongBundleError
from elic_runtime.bundle import Bundle
from elic_runtime.container_reading import parse
from elic_runtime.images import write_image

LIMITS = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "fp32", "exact")


@pytest.fixture(scope="module")
def dynamic(dynamic_path):
    return Codec.load(dynamic_path)


def grid_of(data):
    grid = parse(data).grid
    return grid.tile_height, grid.tile_width, grid.tiles


def test_the_manifest_states_ranges(dynamic_path):
    subgraphs = Bundle(dynamic_path).manifest.subgraphs
    inputs = {name: {t.name: (t.shape, t.min_shape, t.max_shape) for t in g.inputs} for name, g in subgraphs.items()}
    assert inputs["g_a"] == {"x": ((1, 3, "height", "width"), (1, 3, 64, 64), (1, 3, 192, 256))}
    assert inputs["h_s"] == {"z_hat": ((1, 16, "height_64", "width_64"), (1, 16, 1, 1), (1, 16, 4, 5))}
    assert inputs["g_s_0"] == {"y_hat": ((1, 24, "height_16", "width_16"), (1, 24, 4, 4), (1, 24, 16, 20))}
    assert inputs["g_s_1"] == {"features": ((1, 16, "height_4", "width_4"), (1, 16, 16, 16), (1, 16, 64, 80))}
    packed = ((1, 4, "height_16", "width_32"), (1, 4, 4, 2), (1, 4, 16, 10))
    assert inputs["context_3_nonanchor"]["y_hat_anchor"] == packed
    assert [t.name for t in subgraphs["g_s_0"].outputs] == ["features"]


def test_open_dimensions_need_no_shape_arithmetic(dynamic_path):
    for name, info in Bundle(dynamic_path).manifest.subgraphs.items():
        graph = onnx.load(dynamic_path / info.file).graph
        assert not {node.op_type for node in graph.node} & (STATIC_FORBIDDEN | {"ConstantOfShape", "Range", "Expand"})
        dims = {t.name: [d.dim_param or d.dim_value for d in t.type.tensor_type.shape.dim] for t in graph.input}
        assert dims == {t.name: list(t.shape) for t in info.inputs}, name


def test_parity_at_several_shapes(checkpoint, deployment, dynamic_path, cat, tmp_path):
    """64x64 padded, 192x256 whole, 200x300 in tiles: every subgraph with its halves."""
    for name, crop in {"small": cat[:50, :60], "whole": cat[60:252, 100:356], "tiled": cat[:200, :300]}.items():
        write_image(tmp_path / "images" / f"{name}.png", crop)
    images = sorted((tmp_path / "images").iterdir())
    report = measure(deployment, Bundle(dynamic_path), images, LIMITS)
    assert report.passed, [f for f in report.findings if not f.passed]
    assert {"g_s_0", "g_s_1", "g_s", "g_a_h_a", "context_4_nonanchor"} <= {s.subgraph for s in report.subgraphs}


@pytest.mark.parametrize(
    ("height", "width", "tiles"),
    [
        (192, 256, (192, 256, 1)),
        (130, 200, (192, 256, 1)),
        (64, 250, (64, 256, 1)),
        (20, 30, (64, 64, 1)),
        (192, 257, (192, 192, 2)),
        (300, 451, (192, 256, 4)),
    ],
)
def test_images_are_padded_to_64_and_tiled_beyond_the_range_only(dynamic, cat, height, width, tiles):
    image = cat[:height, :width]
    data = dynamic.compress(image)
    assert grid_of(data) == tiles
    assert dynamic.decompress(data).shape == image.shape


def test_static_and_dynamic_bundles_read_each_others_files(codec, dynamic, cat):
    for image in (cat[:128, :192], cat[:120, :185]):
        static_file, dynamic_file = codec.compress(image), dynamic.compress(image)
        assert grid_of(static_file) == grid_of(dynamic_file) == (128, 192, 1)
        assert static_file == dynamic_file
        assert np.abs(dynamic.decompress(static_file).astype(int) - codec.decompress(dynamic_file)).max() <= 1
    # What is larger than a static bundle's graphs is in windows there, and whole in the dynamic one; or in tiles.
    tiled, whole, wide = codec.compress(cat[:200, :300], tiles=True), codec.compress(cat[:200, :300]), cat[:120, :250]
    assert (grid_of(tiled), grid_of(whole)) == ((128, 192, 4), (256, 320, 1))
    assert np.abs(dynamic.decompress(tiled).astype(int) - codec.decompress(tiled)).max() <= 1
    # Symbols are checked as they are decoded; the picture of seeded weights is another one with another halo.
    for data in (whole, dynamic.compress(wide)):
        assert dynamic.decompress(data).shape == codec.decompress(data).shape
    with pytest.raises(WrongBundleError, match="tiles of 64x64, this bundle takes 128x192"):
        codec.decompress(dynamic.compress(cat[:50, :60]))


def test_a_decoder_takes_more_than_its_encoder_writes(dynamic, checkpoint, deployment, config, cat, tmp_path):
    from elic_export.bundle import export_bundle
    from elic_runtime.shapes import Extent

    large = config.model_copy(update={"shape": Extent.one(256, 320)})
    export_bundle(deployment, large, tmp_path / "large")
    image = cat[:250, :320]
    data = Codec.load(tmp_path / "large").compress(image)
    assert grid_of(data) == (256, 320, 1)
    assert dynamic.decompress(data).shape == image.shape
    larger = config.model_copy(update={"shape": Extent.one(320, 320)})
    export_bundle(deployment, larger, tmp_path / "larger")
    with pytest.raises(
        WrongBundleError, match=r"tiles of 320x320, this bundle takes up to 256x320 .* too small for windows"
    ):
        dynamic.decompress(Codec.load(tmp_path / "larger").compress(image))


def test_the_halves_of_g_s_decode_without_it(dynamic_path, dynamic, cat, tmp_path):
    import shutil

    copy = shutil.copytree(dynamic_path, tmp_path / "halves")
    (copy / "g_s.onnx").unlink()
    data = dynamic.compress(cat[:100, :200])
    halves = Codec.load(copy, encode=False).decompress(data)
    assert np.abs(halves.astype(int) - dynamic.decompress(data)).max() <= 1


@pytest.mark.parametrize("low", [(64, 64), (128, 192)])
def test_one_open_side_and_a_range_that_begins_anywhere(checkpoint, float_deployment, tmp_path, low):
    """Checked at a shape that is not the traced one, in every dimension that is open and no other."""
    height, width = low
    for name, high in {"tall": (320, width), "wide": (height, 320)}.items():
        config = ExportConfig.model_validate(
            {
                "form": "dynamic",
                "shape": {"min": {"height": height, "width": width}, "max": {"height": high[0], "width": high[1]}},
                "arithmetic": "float",
            }
        )
        shapes = [shape for shape, _ in sample_shapes(config, config.shape)]
        assert (shapes[0].height != shapes[1].height) == (name == "tall")
        assert (shapes[0].width != shapes[1].width) == (name == "wide")
        graph = next(g for g in declare(float_deployment.model.spec, config) if g.name == "context_1_anchor")
        (exported,) = export_graph(graph, float_deployment, config, config.shape)
        dims = {d.dim_param for d in exported.graph.graph.input[0].type.tensor_type.shape.dim} - {""}
        assert dims == ({"height_16"} if name == "tall" else {"width_16"})
