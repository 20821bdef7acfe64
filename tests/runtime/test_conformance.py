"""Files that any machine can decode: backends that compute the same integers, and one that does not."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from elic_export.bundle import export_bundle
from elic_export.exact.calibration import read_calibration
from elic_export.exact.deployment import deploy_exact
from elic_export.known_input import torch_runners
from elic_runtime import BundleError, Codec, ConformanceError, conformance
from elic_runtime.bundle import Bundle
from elic_runtime.commands import cli as runtime_cli
from elic_runtime.commands import conformance as settings
from elic_runtime.commands.conformance import settings_at_hand
from elic_runtime.conformance import first_difference, load_deciding, read_patches, trace
from elic_runtime.container_reading import parse
from elic_runtime.manifest import CALIBRATION_NAME
from elic_runtime.manifest_file import seal
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.shapes import Extent
from typer.testing import CliRunner

DECIDING = ["h_s", *(f"context_{k}_{half}" for k in range(5) for half in ("anchor", "nonanchor"))]


@pytest.fixture(scope="module")
def coded(codec, cat):
    return codec.compress(cat[:200, :300])


def to_bfloat16(value):
    """float32 with 8 bits of precision, as bf16 hardware takes its operands."""
    bits = value.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def bfloat16_npu(name, graph, info):
    run = onnxruntime_factory()(name, graph, info)
    return lambda inputs: {n: to_bfloat16(v) for n, v in run({n: to_bfloat16(v) for n, v in inputs.items()}).items()}


def plugged_in(name, graph, info):
    return onnxruntime_factory()(name, graph, info)


def pytorch(deployment):
    """PyTorch for what decides symbols, ONNX Runtime for the pictures."""
    runners = torch_runners(deployment)
    on_cpu = onnxruntime_factory()
    return lambda name, graph, info: runners[name] if name in runners else on_cpu(name, graph, info)


@pytest.mark.parametrize("setting", settings_at_hand(), ids=str)
def test_every_setting_decodes_the_same_file(bundle_path, coded, codec, setting):
    """The symbols' checksum is verified after each slice: another symbol would raise DesyncError."""
    decoded = Codec.load(bundle_path, runner=setting).decompress(coded)
    assert np.abs(decoded.astype(int) - codec.decompress(coded)).max() <= 1  # g_s may round


def test_pytorch_decodes_what_onnx_runtime_wrote_and_the_other_way_round(bundle_path, deployment, codec, coded, cat):
    other = Codec.load(bundle_path, runner=pytorch(deployment))
    assert (other.decompress(coded) == codec.decompress(coded)).all()
    assert other.compress(cat[:200, :300]) == coded
    codec.decompress(other.compress(cat[50:120, 60:400]))


def test_sessions_with_random_threads_decode_side_by_side(bundle_path, codec, coded):
    threads = np.random.default_rng(3).integers(1, 9, 6)
    codecs = [Codec.load(bundle_path, threads=int(n)) for n in threads]
    expected = codec.decompress(coded)
    with ThreadPoolExecutor(6) as pool:
        for decoded in pool.map(lambda i: codecs[i % 6].decompress(coded), range(18)):
            assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_bundles_of_other_sizes_hold_the_same_integers(
    checkpoint, deployment, config, bundle_path, codec, coded, tmp_path
):
    """Exported again, from the other bundle's calibration, it decodes what the first one wrote."""
    small = config.model_copy(update={"shape": Extent.one(64, 128)})
    export_bundle(deployment, small, tmp_path / "small")
    assert Bundle(tmp_path / "small").manifest.fingerprint == Bundle(bundle_path).manifest.fingerprint
    again = deploy_exact(checkpoint, read_calibration(tmp_path / "small" / CALIBRATION_NAME))
    export_bundle(again, config, tmp_path / "again")
    assert (Codec.load(tmp_path / "again").decompress(coded) == codec.decompress(coded)).all()


def test_a_backend_that_is_not_exact_is_refused_by_name(bundle_path):
    with pytest.raises(ConformanceError, match="the runner bfloat16_npu does not compute h_s exactly") as error:
        Codec.load(bundle_path, runner=bfloat16_npu)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["h_s", "context_0_anchor", "context_2_nonanchor", "context_4_nonanchor"])
def test_one_wrong_value_is_found_and_named(bundle_path, name):
    """The last value of the last output, by the smallest step it can take."""
    bundle = Bundle(bundle_path)
    runners = load_deciding(bundle, onnxruntime_factory())
    medians = bundle.tables().medians
    assert first_difference(bundle, runners, medians) is None

    def nearly(inputs):
        outputs = {n: v.copy() for n, v in right(inputs).items()}
        last = outputs[list(outputs)[-1]]
        last[0, -1, -1, -1] = np.nextafter(last[0, -1, -1, -1], np.float32(1e9))
        return outputs

    right, runners[name] = runners[name], nearly
    assert first_difference(bundle, runners, medians) == name


def test_the_known_input_moves_every_output(bundle_path):
    """A stuck or saturated channel would tell nothing of its backend."""
    bundle = Bundle(bundle_path)
    manifest = bundle.manifest
    patches = read_patches(bundle.file(manifest.conformance), manifest.model)
    runners = load_deciding(bundle, onnxruntime_factory())
    found = trace(manifest.model, manifest.decoder.min, 1, patches, bundle.tables().medians, runners)
    assert list(found) == DECIDING
    for name, (_, outputs) in found.items():
        for tensor, value in outputs.items():
            channels = value.reshape(value.shape[1], -1)
            assert (np.ptp(channels, axis=1) > 0).all(), (name, tensor)


def test_the_check_runs_once_per_setting(bundle_path, copy, monkeypatch):
    calls = []
    real = conformance.first_difference
    monkeypatch.setattr(conformance, "first_difference", lambda *args: calls.append(1) or real(*args))
    conformance._PASSED.clear()
    for _ in range(2):
        Codec.load(bundle_path)
    assert len(calls) == 1
    Codec.load(copy)  # the same bundle elsewhere
    assert len(calls) == 1
    Codec.load(bundle_path, threads=1)
    assert len(calls) == 2
    for _ in range(2):
        Codec.load(bundle_path, runner=plugged_in)
    assert len(calls) == 4


def test_options_of_providers_tell_settings_apart():
    one, two, three = (
        onnxruntime_factory([("CPUExecutionProvider", {"use_arena": value})]) for value in (["x"], 0, False)
    )
    assert len({one, two, three}) == 3
    assert one.repeats


def test_a_provider_that_does_not_start_is_not_replaced(bundle_path, monkeypatch):
    """ONNX Runtime would go on with its CPU provider, and say so in a log line only."""
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: ["OtherExecutionProvider"])
    with pytest.raises(BundleError, match="cannot start CPUExecutionProvider"):
        Codec.load(bundle_path)


def test_a_changed_or_missing_known_input_is_refused(copy):
    conformance._PASSED.clear()
    path = copy / "conformance.npz"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"conformance\.npz: changed since the export"):
        Codec.load(copy)
    path.unlink()
    with pytest.raises(BundleError, match=r"conformance\.npz: missing"):
        Codec.load(copy)


def test_digests_of_other_subgraphs_are_refused(copy):
    manifest = copy / "manifest.json"
    content = json.loads(manifest.read_text())
    del content["conformance"]["digests"]["context_2_anchor"]
    manifest.write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match="digests are not of the subgraphs that decide symbols"):
        Codec.load(copy)
    del content["conformance"]
    manifest.write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match="exact"):
        Codec.load(copy)


def test_float_files_say_so_and_are_not_checked(float_bundle_path, codec, coded, cat):
    float_codec = Codec.load(float_bundle_path, runner=bfloat16_npu)
    data = float_codec.compress(cat[:128, :192])
    assert (parse(data).arithmetic, parse(coded).arithmetic) == ("float", "exact")
    with pytest.raises(BundleError, match="its arithmetic is float"):
        first_difference(float_codec.bundle, {}, float_codec.bundle.tables().medians)


def conformance_command(*args):
    return CliRunner().invoke(runtime_cli.app, ["conformance", *map(str, args)])


def test_the_command_asks_every_setting(bundle_path, float_bundle_path):
    run = conformance_command(bundle_path)
    assert run.exit_code == 0, run.output
    assert run.stdout.count("exact") == len(settings_at_hand())
    assert onnxruntime.__version__ in run.stdout
    run = conformance_command(float_bundle_path)
    assert run.exit_code == 2
    reason = "its arithmetic is float, and only exact arithmetic can be checked"
    assert run.stderr == f"error: {float_bundle_path}: {reason}\n"


def test_the_command_fails_for_a_backend_that_is_not_exact(bundle_path, monkeypatch):
    real = settings.load_deciding

    def worse(bundle, factory):
        return real(bundle, bfloat16_npu if factory.threads == 2 else factory)

    monkeypatch.setattr(settings, "load_deciding", worse)
    run = conformance_command(bundle_path)
    assert run.exit_code == 1
    assert "differs from h_s on" in run.stdout
    assert run.stderr.startswith("error: not exact: ONNX Runtime")
    assert "not optimized" in run.stderr
