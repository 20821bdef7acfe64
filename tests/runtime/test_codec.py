import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from elic_export.bundle import export_bundle
from elic_runtime import (
    BundleError,
    Codec,
    ContainerError,
    DesyncError,
    ElicError,
    FormatError,
    ImageError,
    TruncatedError,
    WrongBundleError,
)
from elic_runtime.coder import NativeCoder, PlainCoder
from elic_runtime.container import serialize
from elic_runtime.container_reading import parse
from elic_runtime.manifest import FORMAT_VERSION
from elic_runtime.manifest_file import seal
from elic_runtime.metrics import psnr
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.shapes import Extent
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

TILE = (128, 192)


@pytest.fixture(scope="module")
def coded(codec, cat):
    return codec.compress(cat[:130, :200])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(height=1, width=1)
@example(height=128, width=192)
@example(height=129, width=193)
@given(height=st.integers(1, 300), width=st.integers(1, 451))
def test_any_size_round_trips(trained_codec, cat, height, width):
    codec = trained_codec
    image = cat[:height, :width]
    data = codec.compress(image)
    decoded = codec.decompress(data)
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    assert psnr(image, decoded) > 28
    assert (codec.decompress(data) == decoded).all()


@torch.inference_mode()
def test_picture_and_rate_are_pytorchs(trained_checkpoint, trained_codec, cat):
    checkpoint, codec = trained_checkpoint, trained_codec
    image = cat[60:188, 100:292]
    data = codec.compress(image)
    forward = checkpoint.model(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255)
    x_hat = (forward["x_hat"][0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert psnr(image, codec.decompress(data)) == pytest.approx(psnr(image, x_hat), abs=0.01)
    bits = sum(float(-p.log2().sum()) for p in forward["likelihoods"].values())
    # Above the ideal: 64 levels for all scales, 8 bytes a stream, and the container.
    assert bits / 8 < len(data) < 1.01 * bits / 8 + 11 * 8 + 110


def test_one_codec_serves_several_threads_at_once(bundle_path, cat):
    """Threads start together on a codec that has coded nothing yet, each with images of its own."""
    codec = Codec.load(bundle_path, threads=1)
    images = [cat[20 * i : 20 * i + 128, 30 * i : 30 * i + 192 - i] for i in range(6)]
    expected = [Codec.load(bundle_path, threads=1).compress(image) for image in images]
    start = Barrier(len(images))

    def work(i):
        start.wait(timeout=60)
        for _ in range(5):
            data = codec.compress(images[i])
            picture = codec.decompress(data)
        return data, picture

    with ThreadPoolExecutor(len(images)) as pool:
        done = list(pool.map(work, range(len(images))))
    assert [data for data, _ in done] == expected
    for data, picture in done:
        assert (picture == codec.decompress(data)).all()


def test_noise_is_coded_too(codec):
    image = np.random.default_rng(0).integers(0, 256, (128, 192, 3), dtype=np.uint8)
    assert codec.decompress(codec.compress(image)).shape == image.shape


def test_tiles_are_coded_as_if_alone(codec, cat):
    image = cat[:128, :384]
    both = codec.decompress(codec.compress(image, tiles=True))
    for left in (0, 192):
        alone = codec.decompress(codec.compress(image[:, left : left + 192]))
        assert (both[:, left : left + 192] == alone).all()


def test_the_coder_in_python_writes_and_reads_the_same_files(trained_codec, trained_path, cat, monkeypatch):
    image = cat[60:188, 100:292]
    data = trained_codec.compress(image)
    slow = Codec.load(trained_path)
    monkeypatch.setattr(slow, "coder", PlainCoder())
    assert slow.compress(image) == data
    assert (slow.decompress(data) == trained_codec.decompress(data)).all()


def test_separate_g_a_and_h_a_serve_where_the_merged_graph_is_absent(codec, copy, cat):
    (copy / "g_a_h_a.onnx").unlink()
    image = cat[:128, :192]
    assert psnr(codec.decompress(Codec.load(copy).compress(image)), codec.decompress(codec.compress(image))) > 50


def test_halves_ship_separately(codec, copy, cat):
    image = cat[:100, :100]
    (copy / "g_s.onnx").unlink()
    sender = Codec.load(copy, decode=False)
    for name in ("g_a", "h_a", "g_a_h_a"):
        (copy / f"{name}.onnx").unlink()
    (copy / "g_s.onnx").write_bytes((codec.bundle.folder / "g_s.onnx").read_bytes())
    receiver = Codec.load(copy, encode=False)
    assert receiver.decompress(sender.compress(image)).shape == image.shape
    with pytest.raises(ElicError, match="encode=False"):
        receiver.compress(image)
    with pytest.raises(ElicError, match="decode=False"):
        sender.decompress(b"")


def drifting(name, graph, info):
    """A backend whose scales are off by 3 %: what other float arithmetic does, made certain."""
    run = onnxruntime_factory()(name, graph, info)

    def drift(inputs):
        outputs = run(inputs)
        return outputs | {"scales": outputs["scales"] * np.float32(1.03)} if "scales" in outputs else outputs

    return drift


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"x_hat": x * np.float32("nan")}, "not finite"),
        (lambda x: {"x_hat": x[:, :, :1, :1]}, "returns no x_hat"),
        (lambda x: {"x_hat": x.transpose(0, 2, 3, 1)}, "returns no x_hat"),
        (lambda x: {"x_hat": x.astype(np.float16)}, "returns no x_hat"),
        (lambda x: {"out": x}, "returns no x_hat"),
        (lambda x: (x,), "returns no x_hat"),
    ],
    ids=["nan", "size", "layout", "half", "name", "tuple"],
)
def test_what_a_plugged_in_runner_gives_is_checked(bundle_path, coded, change, message):
    def broken(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)
        return (lambda inputs: change(run(inputs)["x_hat"])) if name == "g_s" else run

    with pytest.raises(BundleError, match=f"runner of g_s {message}|g_s returns an output x_hat that is {message}"):
        Codec.load(bundle_path, runner=broken).decompress(coded)


def test_a_float_decoder_that_drifts_says_so(float_bundle_path, cat):
    data = Codec.load(float_bundle_path).compress(cat[:130, :200])
    with pytest.raises(DesyncError, match=r"slice 0 does not decode .*the float arithmetic of this machine is not"):
        Codec.load(float_bundle_path, runner=drifting).decompress(data)


def test_an_exact_decoder_that_drifts_after_its_check_says_so(bundle_path, coded):
    """The check cannot see what happens later: a driver's update, a clock that is too fast."""
    drifts = False

    def later(name, graph, info):
        right, wrong = (factory(name, graph, info) for factory in (onnxruntime_factory(), drifting))

        def run(inputs):
            return wrong(inputs) if drifts else right(inputs)

        return run

    codec = Codec.load(bundle_path, runner=later)
    drifts = True
    with pytest.raises(DesyncError, match=r"slice 0 does not decode .*fingerprint is that of this bundle"):
        codec.decompress(coded)


@pytest.mark.parametrize("half", [0, 1])
def test_symbols_that_differ_are_noticed_even_if_streams_decode(bundle_path, coded, half):
    """And before the next subgraph gets them."""
    ran = []

    def watched(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)
        return lambda inputs: ran.append(name) or run(inputs)

    codec = Codec.load(bundle_path, encode=False, runner=watched)
    container = parse(coded)
    tile = container.tiles[0]
    crcs = list(tile.slices[3].symbols_crcs)
    crcs[half] ^= 1
    slices = [*tile.slices]
    slices[3] = replace(slices[3], symbols_crcs=tuple(crcs))
    forged = replace(container, tiles=(replace(tile, slices=tuple(slices)), *container.tiles[1:]))
    ran.clear()
    with pytest.raises(DesyncError, match=r"slice 3 .*checksum of the decoded symbols"):
        codec.decompress(serialize(forged))
    assert ran[-1] == ("context_3_anchor", "context_3_nonanchor")[half]


def in_half(name, graph, info):
    """A device that holds every tensor in fp16."""
    run = onnxruntime_factory()(name, graph, info)

    def rounded(tensors):
        with np.errstate(over="ignore"):
            return {key: value.astype(np.float16).astype(np.float32) for key, value in tensors.items()}

    return lambda inputs: rounded(run(rounded(inputs)))


@pytest.mark.parametrize("half", [0, 1])
def test_hostile_symbols_on_an_fp16_device_are_the_files_fault(float_bundle_path, cat, half, monkeypatch):
    """Every checksum is right; the symbols are such as no image gives, and infinite in fp16."""
    codec = Codec.load(float_bundle_path, runner=in_half)
    honest = codec.compress(cat[:128, :192])
    assert codec.decompress(honest).shape == (128, 192, 3)
    coder = NativeCoder()
    encode, seen = coder.encode, []

    def in_half_at_first(name, graph, info):
        """The author's device goes on in float32, where such symbols are finite."""
        half_run, run = in_half(name, graph, info), onnxruntime_factory()(name, graph, info)

        def run_one(inputs):
            return run(inputs) if len(seen) >= 2 + half else half_run(inputs)

        return run_one

    hostile = Codec.load(float_bundle_path, runner=in_half_at_first)

    def forge(symbols, indexes, tables):
        seen.append(symbols)
        if len(seen) == 2 + half:  # z, then slice 0's anchor
            symbols[...] = 100_000_000
        return encode(symbols, indexes, tables)

    coder.encode = forge
    monkeypatch.setattr(hostile, "coder", coder)
    with pytest.raises(FormatError, match="symbols of up to 100000000, which no image produces"):
        codec.decompress(hostile.compress(cat[:128, :192]))


def test_damaged_files_are_never_decoded(codec, coded):
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(coded), 60):
        damaged = bytearray(coded)
        damaged[at] ^= int(rng.integers(1, 256))
        with pytest.raises(ContainerError):
            codec.decompress(bytes(damaged))
    for size in rng.integers(0, len(coded), 60):
        with pytest.raises(TruncatedError):
            codec.decompress(coded[:size])


def test_streams_of_a_hostile_author_are_survived(codec, coded):
    """Every checksum of bytes is right, the streams are noise."""
    container = parse(coded)
    rng = np.random.default_rng(1)

    def noise(section):
        streams = tuple(rng.bytes(4 * int(rng.integers(0, 200))) for _ in section.streams)
        return replace(section, streams=streams)

    for _ in range(10):
        tiles = tuple(replace(t, z=noise(t.z), slices=tuple(map(noise, t.slices))) for t in container.tiles)
        forged = replace(container, tiles=tiles)
        with pytest.raises(DesyncError):
            codec.decompress(serialize(forged))


def test_files_of_other_bundles_are_refused(codec, coded, checkpoint, deployment, config, tmp_path):
    container = parse(coded)
    with pytest.raises(WrongBundleError, match="another bundle"):
        codec.decompress(serialize(replace(container, fingerprint=b"another!")))
    with pytest.raises(WrongBundleError, match="written in float arithmetic, this bundle's is exact"):
        codec.decompress(serialize(replace(container, arithmetic="float")))
    small = config.model_copy(update={"shape": Extent.one(64, 64)})
    export_bundle(deployment, small, tmp_path / "small")
    with pytest.raises(WrongBundleError, match=r"tiles of 192x256, this bundle takes up to 64x64 .* too small"):
        Codec.load(tmp_path / "small").decompress(coded)
    large = config.model_copy(update={"shape": Extent.one(256, 256)})
    export_bundle(deployment, large, tmp_path / "large")
    with pytest.raises(WrongBundleError, match="tiles of 192x256, this bundle takes 256x256"):
        Codec.load(tmp_path / "large").decompress(coded)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        "photo.png",
        Path("photo.png"),
        b"bytes",
        [[[1, 2, 3]]],
        None,
    ],
    ids=["grey", "alpha", "float", "empty", "name", "path", "bytes", "list", "none"],
)
def test_other_arrays_are_refused(codec, image):
    with pytest.raises(ImageError):
        codec.compress(image)


@pytest.mark.parametrize("data", ["photo.elic", Path("photo.elic"), 7, None, [1, 2], np.zeros(4)])
def test_a_file_is_its_bytes(codec, data):
    with pytest.raises(ContainerError, match="a file is decoded from its bytes, not from"):
        codec.decompress(data)


def test_any_bytes_are_bytes(codec, coded):
    for data in (bytearray(coded), memoryview(coded)):
        assert (codec.decompress(data) == codec.decompress(coded)).all()


def test_a_cap_below_a_tile_still_reads_what_it_wrote(bundle_path, cat):
    capped = Codec.load(bundle_path, max_pixels=2500)
    assert capped.decompress(capped.compress(cat[:50, :50])).shape == (50, 50, 3)


def test_the_cap_on_pixels_holds_both_ways(bundle_path, coded, cat):
    capped = Codec.load(bundle_path, max_pixels=128 * 192)
    with pytest.raises(ImageError, match="outside the limit"):
        capped.compress(cat)
    with pytest.raises(ContainerError, match="outside the limit"):
        capped.decompress(coded)


def test_an_edited_subgraph_is_refused(copy):
    path = copy / "context_2_anchor.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"context_2_anchor\.onnx: changed since the export"):
        Codec.load(copy)


@pytest.mark.parametrize("name", ["context_2_anchor.onnx", "h_s.onnx", "entropy_tables.npz", "g_s.onnx"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing"):
        Codec.load(copy)


def edit(path, **changes):
    manifest = path / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(seal(content | changes)))


def test_other_manifests_are_refused(copy, tmp_path):
    with pytest.raises(BundleError, match="no bundle here"):
        Codec.load(tmp_path)
    edit(copy, format_version=1)
    with pytest.raises(BundleError, match="a bundle of format version 1"):
        Codec.load(copy)
    edit(copy, format_version=FORMAT_VERSION, surprise=1)
    with pytest.raises(BundleError, match="surprise"):
        Codec.load(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="Invalid JSON"):
        Codec.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": [4, 4, 4, 4]}, "do not sum to M"),
        ({"groups": [4, 4, 4, 4, 7]}, "do not sum to M"),
        ({"groups": [4, 4, 4, 8, 4]}, "context_3_anchor: means is not"),
        ({"N": 320}, "z is not"),
        ({"context_slices": []}, "does not list every slice"),
        ({"context_slices": [[], [0], [0, 1], [0, 2], [0, 4]]}, "not decoded before"),
    ],
)
def test_wiring_that_cannot_be_walked_is_refused(copy, change, message):
    model = json.loads((copy / "manifest.json").read_text())["model"]
    edit(copy, model=model | change)
    with pytest.raises(BundleError, match=message):
        Codec.load(copy)


@pytest.mark.parametrize("name", ["h_s", "context_1_anchor", "g_a_h_a", "g_s"])
def test_a_subgraph_without_the_outputs_that_are_needed_is_refused(copy, name):
    content = json.loads((copy / "manifest.json").read_text())
    content["subgraphs"][name]["outputs"][-1]["name"] = "out"
    (copy / "manifest.json").write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match=f"{name}: does not return"):
        Codec.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["subgraphs"]["g_a_h_a"]["inputs"][0].update(renamed="foo"), "g_a_h_a: does not take x"),
        (lambda m: m["model"]["context_slices"].__setitem__(4, [0]), "context_4_anchor: does not take"),
        (lambda m: m["model"]["context_slices"].__setitem__(4, [0, 0]), "names a slice twice"),
        (lambda m: m["subgraphs"].update(foo=m["subgraphs"]["g_s"]), "'foo' is not a subgraph of this model"),
        (lambda m: m["subgraphs"]["g_s"]["outputs"][0].update(min_shape=[1], max_shape=[1]), "only then"),
        (lambda m: m.update(batch={"min": 2, "max": 4}), "is not"),
        (lambda m: m["encoder"]["min"].update(height=64), r"is not|not within"),
        (lambda m: m["subgraphs"]["g_s"].update(cut_after="foo"), "cut_after"),
    ],
)
def test_manifests_that_disagree_with_themselves_are_refused(copy, change, message):
    content = json.loads((copy / "manifest.json").read_text())
    change(content)
    (copy / "manifest.json").write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match=message):
        Codec.load(copy)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_shapes_that_no_memory_holds_are_refused(dynamic_path, tmp_path, side):
    copied = shutil.copytree(dynamic_path, tmp_path / "bundle")
    content = json.loads((copied / "manifest.json").read_text())
    content[side] = {"min": {"height": 65472, "width": 65472}, "max": {"height": 65536, "width": 65536}}
    (copied / "manifest.json").write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match="are beyond the limit"):
        Codec.load(copied)


def test_a_range_that_is_not_the_manifests_is_refused(dynamic_path, tmp_path):
    copied = shutil.copytree(dynamic_path, tmp_path / "bundle")
    for shape in ([1, 3, 64, 128], [1], [1, 3, 64, 64, 64]):
        content = json.loads((dynamic_path / "manifest.json").read_text())
        content["subgraphs"]["g_a"]["inputs"][0]["min_shape"] = shape
        (copied / "manifest.json").write_text(json.dumps(seal(content)))
        with pytest.raises(BundleError, match="g_a: x does not have the range"):
            Codec.load(copied)


def test_a_graph_in_the_place_of_another_is_refused(copy):
    content = json.loads((copy / "manifest.json").read_text())
    content["subgraphs"]["h_s"] |= {n: content["subgraphs"]["g_s"][n] for n in ("file", "sha256")}
    (copy / "manifest.json").write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match="not those that the manifest states"):
        Codec.load(copy)


def test_a_manifest_cannot_name_files_elsewhere(copy):
    content = json.loads((copy / "manifest.json").read_text())
    content["entropy_tables"]["file"] = "../../secret.npz"
    (copy / "manifest.json").write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match="not a plain file name"):
        Codec.load(copy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"providers": []}, "providers: name one"),
        ({"providers": ()}, "providers: name one"),
        ({"providers": [3]}, "providers: 3 is neither a provider's name"),
        ({"providers": 3}, "providers: 3 is neither a provider's name"),
        ({"providers": [("CPUExecutionProvider", "fast")]}, "is neither a provider's name"),
        ({"threads": -1}, "threads=-1: it must be a number from 0"),
        ({"threads": 1.5}, "threads=1.5"),
        ({"threads": 100_000}, "threads=100000"),
        ({"max_pixels": 0}, "max_pixels=0"),
    ],
)
def test_options_that_are_none_are_refused(bundle_path, options, message):
    with pytest.raises(ElicError, match=re.escape(message)):
        Codec.load(bundle_path, **options)


def test_a_provider_with_its_options_may_stand_alone():
    one = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})
    assert onnxruntime_factory(one) == onnxruntime_factory([one])
    assert onnxruntime_factory("CPUExecutionProvider") == onnxruntime_factory()


def test_many_are_coded_as_one_at_a_time(codec, cat):
    images = [cat[:130, :200], cat[:128, :192], cat[50:60, 70:80]]
    files = list(codec.compress_many(iter(images)))
    assert files == [codec.compress(image) for image in images]
    decoded = list(codec.decompress_many(files))
    assert all((a == codec.decompress(b)).all() for a, b in zip(decoded, files, strict=True))
    assert list(codec.compress_many([])) == list(codec.decompress_many([])) == []


def test_unknown_providers_are_refused(bundle_path):
    with pytest.raises(BundleError, match="no NpuExecutionProvider"):
        Codec.load(bundle_path, providers=["NpuExecutionProvider"])
