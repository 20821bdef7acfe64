import pytest
from elic_export.config import DEPLOY_CONFIGS, read_config, read_thresholds, with_shape
from elic_export.errors import ConfigError

GOOD = "form: static\nshape:\n  height: 128\n  width: 192\n"


def test_the_shipped_config_is_valid():
    config = read_config(DEPLOY_CONFIGS / "static-512x512.yaml", "static")
    assert (config.shape.height, config.shape.width, config.opset) == (512, 512, 17)
    assert (
        read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", config.precision, config.arithmetic).relative_error == 5e-6
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "opzet: 17\n", r"c\.yaml:5: opzet: Extra inputs"),
        (GOOD.replace("128", "100"), r"c\.yaml:3: shape\.height: .*multiple of 64"),
        (GOOD.replace("128", "0"), r"c\.yaml:3: shape\.height"),
        (GOOD.replace("192", "wide"), r"c\.yaml:4: shape\.width"),
        (GOOD + "opset: 21\n", r"c\.yaml:5: opset: .*20"),
        (GOOD + "opset: '17'\n", r"c\.yaml:5: opset: .*integer"),
        (GOOD + "opset: 17\nopset: 12\n", r"c\.yaml:6: opset: stands here twice"),
        (GOOD + "opset: 2001-99-99\n", r"c\.yaml: not YAML"),
        (GOOD + "opset: !!bool x\n", r"c\.yaml: not YAML"),
        ("? [a, b]\n: 1\n", r"c\.yaml:1: a key is no plain word"),
        ("[" * 3000, r"c\.yaml"),
        (GOOD.replace("128", "65536").replace("192", "65536"), "more than 16777216 pixels"),
        (GOOD + "opset: 10\n", r"c\.yaml:5: opset: .*11"),
        (GOOD + "rewrites: [faster]\n", r"c\.yaml:5: rewrites"),
        ("form: static\n", r"c\.yaml:1: shape: Field required"),
        ("- a list\n", r"c\.yaml:1: the file"),
        ("", r"c\.yaml:1: the file"),
        ("a: [1\n", r"c\.yaml:2: not YAML"),
    ],
)
def test_bad_configs_are_refused_with_their_line(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_config(path, "static")
    assert "\n" not in str(error.value)


def test_unreadable_configs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.yaml", "static")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"not a text file|not YAML"):
        read_config(tmp_path / "b.yaml", "static")


def test_a_precision_without_thresholds_is_refused():
    with pytest.raises(ConfigError, match="no thresholds for int4"):
        read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "int4", "exact")


def test_a_shape_from_the_command_line_is_checked(config):
    assert str(with_shape(config, 64, 320).shape) == "64x320"
    with pytest.raises(ConfigError, match="multiple of 64"):
        with_shape(config, 64, 100)
