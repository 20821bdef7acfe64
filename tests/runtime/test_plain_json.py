"""Whatever is printed or written for scripts is JSON by RFC 8259, which Python's own module is not held to."""

import json
import math

import pytest
from elic_runtime.commands.console import print_json
from elic_runtime.plain_json import dumps


def strict(text):
    """As every other JSON reader reads it."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (1.5, 1.5), (None, None)],
)
def test_numbers_that_json_has_not_are_strings(capsys, value, spelled):
    print_json({"a": value, "b": [value, {"c": (value,)}]})
    assert strict(capsys.readouterr().out) == {"a": spelled, "b": [spelled, {"c": [spelled]}]}
    if spelled is not None:
        assert float(spelled) == pytest.approx(value, nan_ok=True)


def test_what_is_no_json_at_all_is_refused():
    with pytest.raises(TypeError):
        dumps({"a": object()})
