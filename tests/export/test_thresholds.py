"""The limits of compiled transforms in `thresholds.yaml`, which every bundle carries; a wrong file is named by line."""

import pytest
from elic_export.errors import ConfigError
from elic_export.thresholds import read_compiled_limits
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime.bundle import Bundle
from elic_runtime.runners import onnxruntime_factory
from elic_runtime.verify import verify

FILE = DEPLOY_CONFIGS / "thresholds.yaml"


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def test_a_bundle_carries_them(bundle_path):
    limits = read_compiled_limits(FILE)
    assert limits.keys() == {"fp32", "fp16", "int8"}
    assert Bundle(bundle_path).manifest.verify.limits == limits


def test_each_is_a_question_that_is_asked(bundle_path):
    """A question that is misspelt would never be judged."""
    (result,) = verify([(Bundle(bundle_path), onnxruntime_factory(), "fp32")])
    asked = {check.question for check in result.checks}
    limits = read_compiled_limits(FILE)
    assert limits["fp32"].keys() == limits["fp16"].keys() == asked
    assert limits["int8"].keys() < asked
    assert all(limits["fp32"][question] <= limits["fp16"][question] for question in asked)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("2.0e-4       # measured: 1.3e-4, by MNN at 512x768", "-1", "y: error over its range"),
        ("2.0e-4       # measured: 1.3e-4, by MNN at 512x768", ".nan", "y: error over its range"),
        ("2.0e-4       # measured: 1.3e-4, by MNN at 512x768", "small", "y: error over its range"),
        ("2.0e-4       # measured: 1.3e-4, by MNN at 512x768", "{fp32: 1}", "y: error over its range"),
        ("  int8:      ", "  int4:      ", "int4"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_and_the_key(tmp_path, before, after, key):
    text = FILE.read_text(encoding="utf-8")
    compiled = text.index("\ncompiled:")
    assert text[compiled:].count(before) == 1
    wrong = text[:compiled] + text[compiled:].replace(before, after)
    path = tmp_path / "t.yaml"
    path.write_text(wrong)
    with pytest.raises(ConfigError) as error:
        read_compiled_limits(path)
    line = line_of(wrong, "  int4:") if key == "int4" else line_of(wrong, f'"{key}": {after}')
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert key in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_without_them_is_refused(tmp_path):
    path = tmp_path / "t.yaml"
    for text in ("", "fp32: {exact: {}}\n", "compiled\n", "- compiled\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"t\.yaml: no limits of compiled transforms"):
            read_compiled_limits(path)
    for text, message in (
        ("compiled: 1\n", r"t\.yaml:1: "),
        ("compiled:\n  fp32: 1\n", r"t\.yaml:2: fp32: "),
        ("compiled:\n  fp32: {a: 1}\n  fp32: {a: 2}\n", r"t\.yaml:3: fp32: the key occurs twice"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_compiled_limits(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_compiled_limits(tmp_path / "none.yaml")
