import re
from pathlib import Path

import pytest
from elic_export.config import ExportConfig, bundle_name, read_config, with_shape
from elic_export.errors import ConfigError
from elic_export.passes.rewrites import REWRITES
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime.shapes import Extent

GOOD = "form: static\nshape:\n  height: 128\n  width: 192\n"


DYNAMIC = "form: dynamic\nshape:\n  min: {height: 128, width: 128}\n  max: {height: 256, width: 320}\n"


def test_the_default_config():
    config = read_config(DEPLOY_CONFIGS / "static-512x512.yaml", "static")
    assert (config.shape, config.decoder, config.opset) == (Extent.one(512, 512), Extent.one(512, 512), 17)
    limits = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", config.precision, config.arithmetic)
    assert limits.relative_error.fp32 == 5e-6


@pytest.mark.parametrize("path", sorted(DEPLOY_CONFIGS.glob("*-*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_valid_and_has_thresholds(path):
    form = next(form for form in ("static", "dynamic", "no-entropy") if path.stem.startswith(form))
    config = read_config(path, form)
    assert str(config.shape.max) in path.stem or path.stem == "no-entropy-dynamic"
    read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", config.precision, config.arithmetic)


def test_ranges_and_batches(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(DYNAMIC + "batch: {min: 1, max: 4}\n")
    config = read_config(path, "dynamic")
    assert str(config.shape) == str(config.decoder) == "128x128..256x320"
    assert str(config.batch) == "1..4"
    path.write_text(GOOD + "batch: 3\n")
    assert (read_config(path, "static").batch.min, read_config(path, "static").batch.max) == (3, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "opzet: 17\n", r"c\.yaml:5: opzet: Extra inputs"),
        (GOOD.replace("128", "100"), r"c\.yaml:3: shape\.height: .*multiple of 64"),
        (GOOD.replace("128", "0"), r"c\.yaml:3: shape\.height"),
        (GOOD.replace("192", "wide"), r"c\.yaml:4: shape\.width"),
        (GOOD + "opset: 21\n", r"c\.yaml:5: opset: .*20"),
        (GOOD + "opset: '17'\n", r"c\.yaml:5: opset: .*integer"),
        (GOOD + "opset: 17\nopset: 12\n", r"c\.yaml:6: opset: the key occurs twice"),
        (GOOD + "opset: 2001-99-99\n", r"c\.yaml: not YAML"),
        (GOOD + "opset: !!bool x\n", r"c\.yaml: not YAML"),
        ("? [a, b]\n: 1\n", r"c\.yaml:1: a key is not a plain word"),
        ("[" * 3000, r"c\.yaml"),
        (GOOD.replace("128", "65536").replace("192", "65536"), "more than 16777216 pixels"),
        (GOOD + "opset: 10\n", r"c\.yaml:5: opset: .*11"),
        (GOOD + "rewrites: [faster]\n", r"c\.yaml:5: rewrites"),
        ("form: static\n", r"c\.yaml:1: shape: Field required"),
        ("- a list\n", r"c\.yaml:1: the file"),
        ("", r"c\.yaml:1: the file"),
        ("a: [1\n", r"c\.yaml:2: not YAML"),
        (GOOD + "batch: 0\n", r"c\.yaml:5: batch"),
        (GOOD + "batch:\n  min: 4\n  max: 2\n", r"c\.yaml:5: batch: .*larger than max"),
        (DYNAMIC.replace("320", "300"), r"c\.yaml:4: shape\.max\.width: .*multiple of 64"),
        (DYNAMIC.replace("320", "64"), r"c\.yaml:2: shape: .*128x128 is larger than max 256x64"),
        (DYNAMIC.replace("dynamic", "static"), "shape: the static form has one"),
        (GOOD.replace("static", "dynamic"), "shape: the dynamic form has a range"),
        (DYNAMIC + "decoder_shape: {height: 256, width: 320}\n", "does not include 128x128"),
        (GOOD + "decoder_shape: {height: 256, width: 320}\n", "only the dynamic form"),
        (GOOD + "precision: fp16\n", "fp16 cannot be exact"),
        (GOOD + "precision: int4\n", r"c\.yaml:5: precision"),
        (GOOD + "tensors: fp16\n", "tensors: fp16 inputs and outputs"),
        (GOOD + "rename: {x: a b}\n", r"c\.yaml:5: rename\.x"),
        (GOOD + "rename: {x: a, y: a}\n", "two tensors have the same new name"),
        (GOOD + "likelihoods: maybe\n", r"c\.yaml:5: likelihoods"),
        (GOOD + "likelihoods: false\n", "only the no-entropy form has likelihoods"),
        (GOOD + "split_g_s_after: /9/Add\n", "only the rewrite split_g_s reads it"),
        (GOOD.replace("128", "4096").replace("192", "4096") + "batch: 2\n", "more than 16777216 pixels"),
    ],
)
def test_bad_configs_are_refused_with_their_line(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_config(path, "dynamic" if "form: dynamic" in text else "static")
    assert "\n" not in str(error.value)


def test_a_config_of_another_form_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text(DYNAMIC)
    with pytest.raises(ConfigError, match="for the dynamic form, not static"):
        read_config(tmp_path / "c.yaml", "static")


def test_unreadable_configs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.yaml", "static")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"not a text file|not YAML"):
        read_config(tmp_path / "b.yaml", "static")


def test_a_precision_without_thresholds_is_refused():
    with pytest.raises(ConfigError, match="no thresholds for int4"):
        read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "int4", "exact")


def test_limits_of_all_precisions(tmp_path):
    text = (DEPLOY_CONFIGS / "thresholds.yaml").read_text(encoding="utf-8")
    for precision, arithmetic in (
        ("fp32", "exact"),
        ("mixed", "exact"),
        ("mixed", "float"),
        ("fp16", "float"),
        ("int8", "exact"),
    ):
        limits = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", precision, arithmetic).relative_error
        assert (limits.of("fp32"), limits.of("fp16"), limits.of("int8")) == (5e-6, 1e-2, 0.1)
    path = tmp_path / "t.yaml"
    path.write_text(text.replace("relative_error: *graphs", "relative_error: 2.0e-3"))
    limits = read_thresholds(path, "mixed", "exact").relative_error
    assert (limits.fp32, limits.fp16, limits.int8) == (2e-3, 2e-3, 2e-3)
    for wrong in ("-1", ".nan", "fast", "{fp32: 1}", "{fp32: 1, fp16: 1}", "{fp32: 1, fp16: 1, int8: 1, int4: 1}"):
        path.write_text(text.replace("relative_error: *graphs", f"relative_error: {wrong}"))
        with pytest.raises(ConfigError, match=r"t\.yaml:\d+: relative_error"):
            read_thresholds(path, "mixed", "exact")


@pytest.mark.parametrize(
    ("config", "written", "chosen", "checkpoint", "key", "name"),
    [
        ("static-512x512", (512, 512), (512, 512), None, None, "static-512x512"),
        ("static-512x512", (512, 512), (256, 384), None, None, "static-256x384"),
        ("static-512x512-fp16", (512, 512), (256, 384), None, None, "static-256x384-fp16"),
        ("camera", (512, 512), (256, 384), None, None, "camera-256x384"),
        ("cam-1512x5120", (512, 512), (64, 64), None, None, "cam-1512x5120-64x64"),
        ("cam-64x64", (512, 512), (64, 128), None, None, "cam-64x64-64x128"),
        ("static-512x512", (512, 512), (512, 512), "runs/lambda0150.pth.tar", None, "static-512x512-lambda0150"),
        ("static-512x512", (512, 512), (64, 64), "a.b.safetensors", None, "static-64x64-a.b"),
        ("static-512x512", (512, 512), (512, 512), "run.pth", "ema/../model", "static-512x512-run-ema_.._model"),
    ],
)
def test_a_default_folder_tells_exports_apart(config, written, chosen, checkpoint, key, name):
    path = None if checkpoint is None else Path(checkpoint)
    assert bundle_name(Path(f"configs/{config}.yaml"), Extent.one(*written), Extent.one(*chosen), path, key) == name


def test_a_shape_from_the_command_line_is_checked(config):
    assert str(with_shape(config, 64, 320).shape) == "64x320"
    with pytest.raises(ConfigError, match="multiple of 64"):
        with_shape(config, 64, 100)


def test_the_configs_in_the_documentation_are_valid(tmp_path):
    text = (DEPLOY_CONFIGS.parent / "docs/export.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        (tmp_path / "c.yaml").write_text(example)
        read_config(tmp_path / "c.yaml", re.match(r"form: (\S+)", example)[1])
    for name in ExportConfig.model_fields:
        assert f"{name}:" in text, name
    for name in REWRITES:
        assert f"| `{name}` |" in text
