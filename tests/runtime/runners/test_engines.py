"""Compilers' engines beside ONNX Runtime: the same transforms, the same symbols, files that cross between them all."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from copies import contents, edit, linked, replace
from elic_runtime import BundleError, Codec, ElicError
from elic_runtime.files import sha256_file
from elic_runtime.metrics import psnr
from elic_runtime.pixels import to_input
from elic_runtime.runners import ONNXRUNTIME, load_runner, open_with

ENGINES = ("mnn", "openvino", "iree")

every_engine = pytest.mark.parametrize("engine", ENGINES)

ONE_STEP_OFF = 0.005
"""Largest share of a picture's values that may differ by 1/255. Measured: MNN 8e-4, the others below 5e-5."""


@pytest.fixture(scope="module")
def photograph(cat):
    """Four tiles of 128x192."""
    return cat[20:276, 40:424]


@pytest.fixture(scope="module")
def codecs(compiled_path):
    loaded = {name: Codec.load(compiled_path, runner=name) for name in (ONNXRUNTIME, *ENGINES)}
    yield loaded
    for codec in loaded.values():
        codec.close()


@pytest.fixture(scope="module")
def files(codecs, photograph):
    """The photograph's file, by the runner that wrote it."""
    return {name: codec.compress(photograph) for name, codec in codecs.items()}


@pytest.fixture(scope="module")
def pictures(codecs, files):
    """By the runner that wrote the file and the one that decoded it. Other symbols would be a DesyncError."""
    return {(w, r): codecs[r].decompress(data) for w, data in files.items() for r in codecs}


def transform(path, runner, name, inputs):
    """What a runner makes of a transform's inputs."""
    bundle, factory = open_with(path, runner)
    return load_runner(bundle, factory, name)(inputs)


@every_engine
def test_it_transforms_as_onnx_runtime_does(compiled_path, cat, engine):
    """Within the limits that a bundle has for fp32; every value counts, not only those of a rounded picture."""
    x = to_input(cat[100:228, 150:342])
    expected, found = (transform(compiled_path, name, "g_a_h_a", {"x": x}) for name in (ONNXRUNTIME, engine))
    for tensor, limit in (("y", 2e-4), ("z", 5e-4)):
        assert np.abs(found[tensor] - expected[tensor]).max() < limit * np.ptp(expected[tensor])
        assert np.ptp(expected[tensor]) > 1
    inputs = {"y_hat": np.rint(expected["y"])}
    expected, found = (transform(compiled_path, name, "g_s", inputs) for name in (ONNXRUNTIME, engine))
    assert np.abs(found["x_hat"] - expected["x_hat"]).max() < 0.5 / 255


@pytest.mark.parametrize("writer", [ONNXRUNTIME, *ENGINES])
def test_every_runner_decodes_what_any_wrote(pictures, writer):
    """The same symbols, whose checksums are in the file, and the same picture but for values that round otherwise."""
    expected = pictures[writer, ONNXRUNTIME].astype(int)
    for reader in ENGINES:
        off = np.abs(pictures[writer, reader] - expected)
        assert off.max() <= 1
        assert (off > 0).mean() < ONE_STEP_OFF


@every_engine
def test_rate_and_picture_are_onnx_runtime_s(files, pictures, photograph, engine):
    assert len(files[engine]) == pytest.approx(len(files[ONNXRUNTIME]), rel=0.01)
    expected, found = (psnr(photograph, pictures[name, name]) for name in (ONNXRUNTIME, engine))
    assert found == pytest.approx(expected, abs=0.1)
    assert expected > 30


def test_each_half_needs_its_own_compiled_files_only(compiled_path, cat, tmp_path):
    """A camera has no decoder, a viewer no encoder, and neither an ONNX file of a transform that was compiled."""
    whole = linked(compiled_path, tmp_path / "whole")
    for name in ("g_a", "g_a_h_a", "g_s"):
        (whole / f"{name}.onnx").unlink()
    camera, viewer = whole, linked(whole, tmp_path / "viewer")
    (viewer / "h_a.onnx").unlink()
    (camera / "targets/openvino/g_s.xml").unlink()
    (viewer / "targets/openvino/g_a_h_a.xml").unlink()
    sender = Codec.load(camera, runner="openvino", decode=False)
    receiver = Codec.load(viewer, runner="openvino", encode=False)
    image = cat[:100, :100]
    assert psnr(image, receiver.decompress(sender.compress(image))) > 28
    with pytest.raises(ElicError, match="decode=False"):
        sender.decompress(b"")
    with pytest.raises(ElicError, match="encode=False"):
        receiver.compress(image)
    with pytest.raises(BundleError, match=r"openvino/g_s\.xml: missing"):
        Codec.load(camera, runner="openvino", encode=False)


def test_one_codec_serves_several_threads_at_once(codecs, cat):
    """Engines do not promise it; the runner waits for its turn."""
    images = [cat[20 * i : 20 * i + 128, 30 * i : 30 * i + 192] for i in range(3)]
    codec = codecs["mnn"]
    expected = [codec.decompress(codec.compress(image)) for image in images]
    with ThreadPoolExecutor(len(images)) as pool:
        done = list(pool.map(lambda image: codec.decompress(codec.compress(image)), images))
    assert all((picture == wanted).all() for picture, wanted in zip(done, expected, strict=True))


def test_any_number_of_threads_writes_what_any_other_decodes(compiled_path, cat, codecs):
    for engine in ("mnn", "openvino"):
        data = Codec.load(compiled_path, runner=engine, decode=False, threads=1).compress(cat[:128, :192])
        assert codecs[ONNXRUNTIME].decompress(data).shape == (128, 192, 3)
    with pytest.raises(ElicError, match="threads=-1"):
        Codec.load(compiled_path, runner="mnn", threads=-1)


def test_a_codec_closes_and_is_a_context(compiled_path):
    with Codec.load(compiled_path, runner="mnn", encode=False) as codec:
        assert codec.bundle.has("g_s")
    codec.close()


@pytest.mark.parametrize("file", ["mnn/g_s.mnn", "openvino/g_s.xml", "openvino/g_s.bin", "iree/g_a_h_a.vmfb"])
def test_a_damaged_compiled_file_is_refused(compiled_path, tmp_path, file):
    """By its digest, before an engine reads it."""
    copy = linked(compiled_path, tmp_path / "bundle")
    data = bytearray((copy / "targets" / file).read_bytes())
    data[len(data) // 2] ^= 1
    replace(copy / "targets" / file, data)
    engine, name = file.split("/")
    with pytest.raises(BundleError, match=rf"{name}: changed since the export"):
        Codec.load(copy, runner=engine)
    Codec.load(copy)


@every_engine
def test_a_compiled_file_that_the_engine_cannot_read_is_one_line(compiled_path, tmp_path, engine):
    """What is recorded is what is there, and yet no engine can do anything with it."""
    copy = linked(compiled_path, tmp_path / "bundle")
    suffix = {"mnn": "mnn", "openvino": "xml", "iree": "vmfb"}[engine]
    inner = f"targets/{engine}/g_s.{suffix}"
    replace(copy / inner, (copy / inner).read_bytes()[:5000])

    def record(manifest):
        manifest["compiled"][engine]["subgraphs"]["g_s"]["files"][0]["sha256"] = sha256_file(copy / inner)

    edit(copy, record)
    with pytest.raises(BundleError, match=rf"g_s\.{suffix}: (MNN|OpenVINO|IREE) \d.* cannot load g_s: ") as error:
        Codec.load(copy, runner=engine, encode=False)
    assert "\n" not in str(error.value)


def test_loading_and_running_write_nothing(compiled_path, pictures):
    """Some engines would keep caches beside what they load."""
    assert set(contents(compiled_path / "targets/openvino")) == {"convert.py", "compile.log", "verify.json"} | {
        f"{graph}.{suffix}" for graph in ("g_a_h_a", "g_s") for suffix in ("xml", "bin")
    }


def test_weights_that_are_missing_are_refused(compiled_path, tmp_path):
    """OpenVINO's are in a file of their own."""
    copy = linked(compiled_path, tmp_path / "bundle")
    (copy / "targets/openvino/g_s.bin").unlink()
    with pytest.raises(BundleError, match=r"cannot load g_s: ") as error:
        Codec.load(copy, runner="openvino", encode=False)
    assert "\n" not in str(error.value)
