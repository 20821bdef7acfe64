"""What a device is verified with: a right runner passes, a wrong one fails, and half a bundle is asked its half."""

import numpy as np
import pytest
from copies import edit, replace
from elic_runtime import BundleError
from elic_runtime.bundle import Bundle
from elic_runtime.errors import NotFiniteError
from elic_runtime.files import sha256_file
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.shapes import Extent, Shape
from elic_runtime.verify import SCATTER_BYTES, Check, mirrored, read_known, shape_to_verify, verify
from halves import ship

ENCODER = {"y: error over its range", "z: error over its range", "y: share of roundings changed", "codec: bytes more"}
DECODER = {
    "x_hat: largest error, 8-bit steps",
    "x_hat: RMS error, 8-bit steps",
    "file: symbols that differ, at least",
    "file: PSNR lost, dB",
}
BOTH = {"codec: mean PSNR lost, dB"}


def verified(folder, factory=None, precision="fp32"):
    (result,) = verify([(Bundle(folder), factory or onnxruntime_factory(), precision)])
    return result


def failed(result):
    return {check.question for check in result.checks if not check.passed}


def changing(subgraph, change):
    """ONNX Runtime, but for the outputs of one subgraph."""

    def changed(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)
        return (lambda inputs: {n: change(v) for n, v in run(inputs).items()}) if name == subgraph else run

    return changed


def noise(size):
    def add(value):
        random = np.random.default_rng(0).standard_normal(value.shape)
        return (value + size * random).astype(np.float32)

    return add


@pytest.mark.parametrize("bundle", ["bundle_path", "float_bundle_path", "dynamic_path"])
def test_onnx_runtime_passes(request, bundle):
    """Files in float arithmetic decode only where they were written, so no known file is in that bundle."""
    result = verified(request.getfixturevalue(bundle))
    asked = {check.question for check in result.checks}
    assert asked == ENCODER | BOTH | (
        DECODER if bundle != "float_bundle_path" else {q for q in DECODER if "x_hat" in q}
    )
    assert result.passed
    assert all(check.limit is not None for check in result.checks)
    assert result.seconds.keys() == {"g_a_h_a", "g_s"}
    assert min(result.seconds.values()) > 0
    assert result.load_seconds > 0


@pytest.mark.parametrize(
    ("subgraph", "size", "wrong"),
    [
        ("g_a_h_a", 0.3, {"y: error over its range", "y: share of roundings changed"}),
        ("g_s", 0.05, {"x_hat: largest error, 8-bit steps", "x_hat: RMS error, 8-bit steps"}),
    ],
)
def test_a_runner_that_adds_noise_fails(bundle_path, subgraph, size, wrong):
    """Only the questions about what it spoils, or what follows from that."""
    result = verified(bundle_path, changing(subgraph, noise(size)))
    assert not result.passed
    assert wrong <= failed(result)
    assert not failed(result) & (DECODER if subgraph == "g_a_h_a" else ENCODER)


def test_the_worst_of_the_photographs_counts(bundle_path):
    """A device that fails in the middle of its work only: the second photograph of three."""
    runs = []

    def once(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)

        def wrong_once(inputs):
            runs.append(name)
            return {n: v + (runs.count("g_s") == 2) * np.float32(0.1) for n, v in run(inputs).items()}

        return wrong_once if name == "g_s" else run

    found = {check.question: check for check in verified(bundle_path, once).checks}
    assert found["x_hat: largest error, 8-bit steps"].measured == pytest.approx(25.5, abs=0.1)
    assert found["file: PSNR lost, dB"].passed


def test_nan_is_refused_by_name(bundle_path):
    with pytest.raises(NotFiniteError, match="g_s returns an output x_hat that is not finite"):
        verified(bundle_path, changing("g_s", lambda value: value * np.float32("nan")))


def test_a_question_without_an_answer_fails():
    assert Check(question="q", measured=1, limit=1).passed
    assert not Check(question="q", measured=1.1, limit=1).passed
    assert not Check(question="q", measured=float("nan"), limit=1).passed
    assert Check(question="q", measured=float("inf"), limit=None).passed


def test_symbols_that_differ_fail(bundle_path):
    """A decoder that drifts after its known input passed, as by a clock that is too fast."""
    runs = []

    def drifting(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)

        def drift(inputs):
            runs.append(name)
            late = runs.count(name) > 1
            return {n: v * np.float32(1.03 if late and n == "scales" else 1) for n, v in run(inputs).items()}

        return drift

    result = verified(bundle_path, drifting)
    assert failed(result) >= {"file: symbols that differ, at least"}
    assert "file: PSNR lost, dB" not in {check.question for check in result.checks}


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_half_a_bundle_answers_its_half(bundle_path, tmp_path, half):
    ship(bundle_path, half, tmp_path / half)
    result = verified(tmp_path / half)
    assert {check.question for check in result.checks} == (ENCODER if half == "encoder" else DECODER)
    assert result.passed
    assert result.seconds.keys() == {"g_a_h_a" if half == "encoder" else "g_s"}


def test_a_bundle_without_transforms_is_refused(copy):
    for name in ("g_a", "h_a", "g_a_h_a", "g_s"):
        (copy / f"{name}.onnx").unlink()
    with pytest.raises(BundleError, match="its transforms are not here"):
        verified(copy)


def test_runners_take_turns_and_each_has_its_own_limits(bundle_path):
    """Noise of a hundredth of a step is right in fp16 and wrong in fp32."""
    rough = changing("g_s", noise(0.08 / 255))
    contestants = [(Bundle(bundle_path), rough, precision) for precision in ("fp32", "fp16")]
    in_fp32, in_fp16 = verify([*contestants])
    assert (in_fp32.precision, in_fp16.precision) == ("fp32", "fp16")
    assert failed(in_fp32) == {"x_hat: RMS error, 8-bit steps"}
    assert in_fp16.passed
    assert in_fp32.runner == f"the runner {rough.__qualname__}"


def test_int8_is_judged_by_picture_and_rate(bundle_path):
    result = verified(bundle_path, changing("g_s", noise(1 / 255)), "int8")
    judged = {check.question for check in result.checks if check.limit is not None}
    assert judged == {q for q in ENCODER | DECODER | BOTH if q.startswith(("file: ", "codec: "))}


def test_limits_are_the_bundle_s_and_wider_for_small_files(bundle_path):
    bundle = Bundle(bundle_path)
    known = read_known(bundle.file(bundle.manifest.verify))
    wider = max(1, SCATTER_BYTES / sum(known.sizes))
    limits = bundle.manifest.verify.limits["fp32"]
    for check in verified(bundle_path).checks:
        assert check.limit == pytest.approx(limits[check.question] * (wider if "codec" in check.question else 1))


def test_a_changed_or_missing_file_is_refused(copy):
    path = copy / "verify.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"verify\.npz: changed since the export"):
        verified(copy)
    path.unlink()
    with pytest.raises(BundleError, match=r"verify\.npz: missing"):
        verified(copy)


@pytest.mark.parametrize("content", [b"", b"not a zip archive", "conformance.npz"], ids=["empty", "text", "other"])
def test_a_file_with_something_else_is_refused(copy, content):
    path = copy / "verify.npz"
    replace(path, content if isinstance(content, bytes) else (copy / content).read_bytes())
    edit(copy, lambda m: m["verify"].update(sha256=sha256_file(path)))
    with pytest.raises(BundleError, match=r"verify\.npz: not a known photograph") as error:
        verified(copy)
    assert "\n" not in str(error.value)


def test_a_no_entropy_bundle_has_nothing_to_verify(no_entropy_path):
    with pytest.raises(BundleError, match="nothing to verify with: only codecs have it"):
        verified(no_entropy_path)


@pytest.mark.parametrize(
    ("low", "high", "chosen"),
    [
        ((512, 512), (512, 512), (512, 512)),
        ((64, 64), (1280, 1280), (256, 256)),
        ((64, 64), (192, 2048), (192, 256)),
        ((64, 320), (128, 640), (128, 320)),
    ],
)
def test_it_is_done_at_a_shape_that_the_bundle_takes(low, high, chosen):
    ends = [Shape(height=height, width=width) for height, width in (low, high)]
    shape = shape_to_verify(Extent(min=ends[0], max=ends[1]))
    assert (shape.height, shape.width) == chosen


@pytest.mark.parametrize("size", [(2, 3), (5, 7), (8, 12), (13, 30), (1, 1)])
def test_a_patch_is_mirrored_until_it_fills_an_area(size):
    patch = np.arange(60).reshape(3, 4, 5)
    height, width = size
    expected = np.pad(patch, ((0, 0), (0, 40), (0, 40)), mode="symmetric")[:, :height, :width]
    assert np.array_equal(mirrored(patch, height, width), expected)


def test_it_fits_into_a_few_megabytes(trained_path):
    """Three photographs of which PyTorch's outputs are known, one of which is coded: of the embedded model."""
    bundle = Bundle(trained_path)
    known = read_known(bundle.file(bundle.manifest.verify))
    assert (trained_path / "verify.npz").stat().st_size < 4e6
    assert len(known.photographs) == 3
    assert len(known.file) == known.sizes[0]
    assert min(known.psnr_db) > 28
