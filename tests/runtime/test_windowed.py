"""Images that are larger than the graphs: the same integers as from larger graphs, and the same picture."""

import re

import numpy as np
import pytest
from elic_export.bundle import export_bundle
from elic_runtime import Codec, ElicError, ImageError
from elic_runtime.bundle import Bundle
from elic_runtime.conformance import load_deciding, read_patches, trace
from elic_runtime.container_reading import parse
from elic_runtime.images import read_image
from elic_runtime.metrics import psnr
from elic_runtime.runners import load_runner, onnxruntime_factory
from elic_runtime.shapes import Batch, Extent, Shape
from elic_runtime.windowed import Windowed
from elic_runtime.windows import Windows

SMALL = Extent(min=Shape(height=64, width=64), max=Shape(height=256, width=320))
"""Windows of h_s and the context subgraphs, with room for a core."""


@pytest.fixture(scope="module")
def trained(trained_deployment, config, tmp_path_factory):
    """Codecs of the embedded model, by the height and width of their transforms."""

    def load(height, width):
        path = tmp_path_factory.mktemp("trained") / "bundle"
        export_bundle(trained_deployment, config.model_copy(update={"shape": Extent.one(height, width)}), path)
        return Codec.load(path)

    return load


@pytest.fixture(scope="module")
def whole(codec, cat):
    return codec.compress(cat)


def farthest(picture, other):
    """The largest difference, in 8-bit steps."""
    return np.abs(picture.astype(int) - other).max()


def test_windows_give_the_integers_of_the_whole(bundle_path):
    """Every subgraph that decides symbols, of a latent of 7 x 9 windows' cores and a rest."""
    bundle, factory = Bundle(bundle_path), onnxruntime_factory()
    manifest, tables = bundle.manifest, bundle.tables()
    patches = read_patches(bundle.file(manifest.conformance), manifest.model)
    found = trace(
        manifest.model, Shape(height=448, width=640), 1, patches, tables.medians, load_deciding(bundle, factory)
    )
    for name, (inputs, outputs) in found.items():
        declared = manifest.table[name]
        windows = Windows.of(declared, SMALL, manifest.reach(name))
        assert len(windows.over(448, 640)) >= 4
        in_windows = Windowed(load_runner(bundle, factory, name), declared, windows, Batch())(inputs)
        assert in_windows.keys() == outputs.keys()
        assert all(np.array_equal(in_windows[role], outputs[role]) for role in outputs), name


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_halo_that_is_too_small_changes_them(bundle_path, side):
    """A quarter of what the graph sees: the test above would notice."""
    bundle, factory = Bundle(bundle_path), onnxruntime_factory()
    manifest, name = bundle.manifest, "context_4_anchor"
    patches = read_patches(bundle.file(manifest.conformance), manifest.model)
    runners = load_deciding(bundle, factory)
    found = trace(manifest.model, Shape(height=448, width=640), 1, patches, bundle.tables().medians, runners)
    reach = manifest.reach(name).model_copy(update={side: 32})
    windows = Windows.of(manifest.table[name], SMALL, reach)
    inputs, outputs = found[name]
    in_windows = Windowed(runners[name], manifest.table[name], windows, Batch())(inputs)
    assert not all(np.array_equal(in_windows[role], outputs[role]) for role in outputs)


def test_an_image_is_one_latent(trained, photos):
    """Files cross between bundles of other windows, and size and picture are those of one window."""
    image = read_image(photos / "astronaut.png")
    windows, whole = trained(256, 256), trained(512, 512)
    data, other = windows.compress(image), whole.compress(image)
    assert parse(data).grid.tiles == 1
    assert parse(data).grid.tile == (512, 512)
    assert len(data) == pytest.approx(len(other), rel=0.001)
    picture, expected = windows.decompress(data), whole.decompress(other)
    assert psnr(image, picture) == pytest.approx(psnr(image, expected), abs=0.005)
    assert farthest(windows.decompress(other), expected) <= 1
    assert farthest(picture, whole.decompress(data)) <= 1


def test_batches_take_several_windows_at_once(deployment, config, codec, whole, cat, tmp_path):
    export_bundle(deployment, config.model_copy(update={"batch": Batch(min=1, max=4)}), tmp_path / "bundle")
    sizes = []

    def watched(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)

        def noted(inputs):
            if name in ("g_a_h_a", "g_s"):
                sizes.append(len(next(iter(inputs.values()))))
            return run(inputs)

        return noted

    batched = Codec.load(tmp_path / "bundle", runner=watched)
    data = batched.compress(cat)
    assert max(sizes) == 4
    assert sum(sizes) == batched._encoder._analyse._g_a.count(320, 512)
    assert len(data) == pytest.approx(len(whole), rel=0.002)
    assert farthest(batched.decompress(whole), codec.decompress(whole)) <= 1
    two = list(batched.compress_many([cat, cat[:, ::-1]]))
    assert two[0] == data
    assert [farthest(p, codec.decompress(d)) <= 1 for p, d in zip(batched.decompress_many(two), two, strict=True)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    "region", [(0, 0, 451, 300), (0, 0, 1, 1), (450, 299, 1, 1), (100, 90, 130, 77), (191, 127, 2, 2)]
)
@pytest.mark.parametrize("tiles", [False, True])
def test_a_region_is_the_crop_of_the_picture(codec, cat, whole, region, tiles):
    data = codec.compress(cat, tiles=True) if tiles else whole
    x, y, width, height = region
    assert (codec.decompress(data, region=region) == codec.decompress(data)[y : y + height, x : x + width]).all()


@pytest.mark.parametrize("region", [(0, 0, 452, 1), (451, 0, 1, 1), (0, 0, 0, 5), (-1, 0, 5, 5), (0, 299, 1, 2)])
def test_a_region_elsewhere_is_refused(codec, whole, region):
    x, y, width, height = region
    said = f"a region of {width}x{height} pixels at {x},{y} is not within an image of 451x300"
    with pytest.raises(ImageError, match=re.escape(said)):
        codec.decompress(whole, region=region)


def test_progress_counts_windows(codec, cat, whole):
    def counted(run):
        seen = []
        run(lambda *counts: seen.append(counts))
        assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
        assert {total for _, total in seen} == {len(seen)}
        return len(seen)

    compressed = counted(lambda show: codec.compress(cat, progress=show))
    decompressed = counted(lambda show: codec.decompress(whole, progress=show))
    assert compressed > 11 + 2
    assert counted(lambda show: codec.decompress(whole, region=(0, 0, 9, 9), progress=show)) < decompressed
    assert counted(lambda show: codec.compress(cat[:128, :192], progress=show)) == 1 + 11


def test_a_part_of_a_file_in_tiles_needs_its_tiles_only(codec, cat):
    data = codec.compress(cat, tiles=True)
    assert parse(data).grid.tiles == 9
    seen = []
    codec.decompress(data, region=(200, 0, 100, 100), progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (12, 12)


def test_graphs_without_room_code_in_tiles(dynamic_path, float_bundle_path, cat):
    """Context subgraphs see 96 pixels to each side, so windows of 192x256 have no core."""
    for path in (dynamic_path, float_bundle_path):
        codec = Codec.load(path)
        assert not codec.windowed
        data = codec.compress(cat)
        assert parse(data).grid.tiles > 1
        assert codec.decompress(data).shape == cat.shape


def test_halos_may_be_chosen(trained_path, trained_codec, cat):
    """A smaller one is another picture, but not one that anybody could tell."""
    data = trained_codec.compress(cat)
    expected = trained_codec.decompress(data)
    assert 60 < psnr(Codec.load(trained_path, halo=2).decompress(data), expected) < 80
    assert psnr(Codec.load(trained_path, halo=1).decompress(data), expected) < 60


@pytest.mark.parametrize("halo", [0, 17, -3])
def test_halos_beyond_all_use_are_refused(bundle_path, halo):
    with pytest.raises(ElicError, match=f"halo={halo}: it must be from 1 to 16"):
        Codec.load(bundle_path, halo=halo)


def test_a_halo_that_leaves_no_room_makes_tiles(bundle_path, cat):
    codec = Codec.load(bundle_path, halo=4)
    assert not codec.windowed
    assert parse(codec.compress(cat)).grid.tiles == 9


@pytest.mark.slow
def test_every_engine_reads_what_any_wrote(compiled_path, trained, cat):
    """The embedded model, with one picture for all: windows on four engines, and the photograph whole."""
    codecs = {name: Codec.load(compiled_path, runner=name) for name in ("onnxruntime", "mnn", "openvino", "iree")}
    cat = cat[:250, :240]
    whole = codecs["whole"] = trained(256, 256)
    files = {name: codec.compress(cat) for name, codec in codecs.items()}
    sizes = {name: len(data) for name, data in files.items()}
    assert max(sizes.values()) <= 1.002 * min(sizes.values()), sizes
    expected = psnr(cat, whole.decompress(files["whole"]))
    for name, data in files.items():
        picture = whole.decompress(data)
        assert psnr(cat, picture) == pytest.approx(expected, abs=0.01)
        for reader, codec in codecs.items():
            assert farthest(codec.decompress(data), picture) <= 1, (name, reader)
