"""The hint which shape to export, and its command."""

import json
import subprocess
import sys

import pytest
from elic_export.shape_costs import ShapeCost, shape_costs


def shapes(*args):
    command = [sys.executable, "-m", "elic_export", "shapes", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_photograph_that_fits_is_computed_once():
    *_, large, whole = shape_costs(512, 768, 3)
    assert whole == ShapeCost(512, 768, 1, 1.0)
    assert (large.height, large.windows, large.computed) == (768, 1, 1.5)


def test_windows_overlap_by_the_halo():
    """Cores of 256 - 2 x 48 pixels: 6000 need 38 of them, less what the first and the last have at the border."""
    costs = {cost.height: cost for cost in shape_costs(4000, 6000, 3)}
    assert costs[256].windows == 25 * 37
    assert costs[256].computed == pytest.approx(925 * 256**2 / 24e6)
    assert 1.3 < costs[768].computed < 1.4
    assert {cost.height: cost.windows for cost in shape_costs(4000, 6000, 2)}[256] == 21 * 31


def test_the_command_prints_a_table_or_json():
    run = shapes("512x768")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].split() == ["512x768", "1", "1.00"]
    facts = json.loads(shapes("512x768", "--json").stdout)
    assert facts[-1] == {"height": 512, "width": 768, "windows": 1, "computed": 1.0}
    refused = shapes("big")
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: big: a size is height x width in pixels, such as 4000x6000\n",
    )
