"""The search for layers in int8, of the tiny model: what it takes, what it leaves, and bundles and binaries of it."""

import json
import shutil
import subprocess
import sys

import onnx
import pytest
from elic_export.api import compile_bundle, export
from elic_export.bundle import export_bundle
from elic_export.compiling.settings import CompileSettings
from elic_export.config import ExportConfig
from elic_export.errors import ConfigError, ExportError, OperatorError
from elic_export.exact.calibration import crops_of
from elic_export.int8_layers import DB_PER_PERCENT, MAX_LOST_DB, SEARCHED, _most, choose_int8_layers
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime import Codec
from elic_runtime.bundle import Bundle
from elic_runtime.images import write_image
from elic_runtime.metrics import psnr
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def crops(cat):
    return [cat[row : row + 256, column : column + 256] for row, column in ((0, 0), (40, 190), (20, 100), (44, 30))]


@pytest.fixture(scope="module")
def int8_config(config):
    return config.model_copy(update={"precision": "int8"})


@pytest.fixture(scope="module")
def layers(deployment, int8_config, crops):
    return choose_int8_layers(deployment, int8_config, crops)


@pytest.fixture(scope="module")
def int8_path(deployment, int8_config, layers, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "static-128x192"
    export_bundle(deployment, int8_config, path, int8=layers)
    return path


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 40))
def test_the_longest_beginning_is_taken_and_what_fits_besides(costs, limit):
    """Costs that add up, in an order of ours: nothing that was left would fit, and the order is kept."""
    names = [f"layer {i}" for i in range(len(costs))]
    price = dict(zip(names, costs, strict=True))
    taken = _most(names, lambda some: sum(price[name] for name in some) <= limit)
    total = sum(price[name] for name in taken)
    assert total <= limit
    assert taken == [name for name in names if name in taken]
    assert all(total + price[name] > limit for name in names if name not in taken)


def test_what_it_takes_costs_no_more_than_it_may(layers):
    assert layers.psnr_lost_db + 100 * DB_PER_PERCENT * layers.bytes_more <= sum(MAX_LOST_DB.values()) + 0.02
    assert layers.share.keys() == set(SEARCHED)
    assert all(0 < share <= 1 for share in layers.share.values())
    assert not set(layers.kept) & layers.ranges.keys()
    assert layers.info.layers == len(layers.ranges) > 20


@pytest.mark.slow
def test_it_takes_the_same_layers_again(deployment, int8_config, crops, layers):
    again = choose_int8_layers(deployment, int8_config, crops)
    assert (again.ranges, again.kept) == (layers.ranges, layers.kept)


@pytest.mark.slow
def test_the_trained_model_keeps_its_picture(trained_deployment, trained_path, int8_config, cat, tmp_path):
    """Other photographs lose less than 0.1 dB and 1 %."""
    found = choose_int8_layers(trained_deployment, int8_config, crops_of(DEPLOY_CONFIGS / "calibration")[::3])
    assert found.share["g_a"] > 0.8
    assert found.share["g_s"] > 0.5
    assert "g_s.14.conv" in found.kept
    path = tmp_path / "bundle"
    export_bundle(trained_deployment, int8_config, path, int8=found)
    image = cat[20:276, 40:424]
    reference, own = Codec.load(trained_path), Codec.load(path)
    expected, data = reference.compress(image), own.compress(image)
    assert len(data) < 1.01 * len(expected)
    lost = psnr(image, reference.decompress(expected)) - psnr(image, own.decompress(data))
    assert -0.1 < lost < 0.1


@pytest.mark.slow
def test_one_photograph_is_enough_and_none_is_not(deployment, int8_config, crops):
    assert choose_int8_layers(deployment, int8_config, crops[:1]).ranges


def test_no_photograph_is_not_enough(deployment, int8_config):
    with pytest.raises(ExportError, match="at least one photograph"):
        choose_int8_layers(deployment, int8_config, [])


def test_a_bundle_says_what_is_in_8_bits(int8_path, layers):
    manifest = Bundle(int8_path).manifest
    assert manifest.precision == "int8"
    assert manifest.int8 == layers.info
    for name, info in manifest.subgraphs.items():
        assert ("QuantizeLinear" in info.operators) == (name in ("g_a", "g_s", "g_a_h_a")), name
    graph = onnx.load(int8_path / "g_a.onnx").graph
    # Four values for each of the weights and biases in 8 bits, one for all others.
    assert sum(t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4 for t in graph.initializer) == sum(
        name.startswith("g_a.") for name in layers.ranges
    )


def test_its_files_are_those_of_other_precisions(int8_path, codec, cat):
    """Symbols are decided in exact arithmetic, so files cross; the picture and the rate are nearly the same."""
    image = cat[:128, :192]
    own = Codec.load(int8_path)
    assert own.bundle.manifest.fingerprint == codec.bundle.manifest.fingerprint
    data, expected = own.compress(image), codec.compress(image)
    assert data != expected
    assert len(data) == pytest.approx(len(expected), rel=0.02)
    reference = psnr(image, codec.decompress(expected))
    for reader in (own, codec):
        assert psnr(image, reader.decompress(data)) == pytest.approx(reference, abs=0.15)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"opset": 12}, "precision: int8 needs opset 13 or later"),
        ({"tensors": "fp16"}, "tensors: fp16 inputs and outputs need precision: fp16 or mixed"),
    ],
)
def test_what_does_not_go_with_int8_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        ExportConfig.model_validate(
            {"form": "static", "shape": {"height": 128, "width": 192}, "precision": "int8"} | change
        )


def test_an_operator_that_is_not_allowed_is_named(deployment, int8_config, layers, bundle_path, tmp_path):
    allowed = {name for info in Bundle(bundle_path).manifest.subgraphs.values() for name in info.operators}
    chosen = int8_config.model_copy(update={"allowed_operators": frozenset(allowed)})
    with pytest.raises(OperatorError, match="QuantizeLinear, which allowed_operators does not list"):
        export_bundle(deployment, chosen, tmp_path / "bundle", int8=layers)
    assert not (tmp_path / "bundle").exists()


def test_layers_and_config_go_together(deployment, config, int8_config, layers, tmp_path):
    for chosen, given_layers in ((config, layers), (int8_config, None)):
        with pytest.raises(ExportError, match="a config with precision: int8, and no other, needs layers"):
            export_bundle(deployment, chosen, tmp_path / "bundle", int8=given_layers)


def test_an_export_needs_photographs(int8_config, checkpoint, tmp_path):
    calibration = tmp_path / "calibration.npz"
    calibration.write_bytes(b"")
    with pytest.raises(ConfigError, match="int8 is calibrated on photographs"):
        export(int8_config, checkpoint.path, tmp_path / "bundle", calibration=calibration)
    with pytest.raises(ConfigError, match="no such file"):
        export(int8_config, checkpoint.path, tmp_path / "bundle", calibration=tmp_path / "none")


@pytest.fixture(scope="module")
def photographs(crops, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for i, crop in enumerate(crops):
        write_image(folder / f"{i}.png", crop)
    return folder


def test_a_compiler_gets_what_was_chosen(bundle_path, checkpoint, photographs, tmp_path):
    """OpenVINO, whose plain transposed convolutions are searched anew."""
    folder = shutil.copytree(bundle_path, tmp_path / "bundle")
    tried = []

    def progress(items, what):
        tried.append((what, len(items)))
        return items

    (result,) = compile_bundle(
        folder,
        ["openvino"],
        checkpoint=checkpoint.path,
        settings=CompileSettings(precision="int8"),
        calibration=photographs,
        progress=progress,
    )
    if isinstance(result, ExportError):
        raise result
    target = Bundle(folder).manifest.compiled["openvino"]
    assert [what for what, _ in tried] == ["int8", "int8"]
    assert target.precision == "int8"
    assert target.int8.layers > 20
    asked = {check.question: check for check in result.report.results[0].checks}
    assert asked["codec: bytes more"].limit is not None
    assert asked["y: error over its range"].limit is None
    assert asked["y: error over its range"].measured > 1e-4


def test_a_compiler_without_int8_says_so(bundle_path, checkpoint, photographs, tmp_path):
    folder = shutil.copytree(bundle_path, tmp_path / "bundle")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "elic_export", "compile", folder, "--target", "mnn", "--precision", "int8"),
            *("--checkpoint", checkpoint.path, "--calibration", photographs),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == "error: mnn: it has no precision int8; it has fp32, fp16\n"


def test_info_says_what_is_in_8_bits(int8_path):
    command = [sys.executable, "-m", "elic_runtime", "info", int8_path]
    text, facts = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout
        for more in ((), ("--json",))
    )
    assert "% of the multiply-adds of g_a" in " ".join(text.split())
    assert json.loads(facts)["int8"]["layers"] > 20
