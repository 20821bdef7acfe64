"""What `elic eval` measures, for the tests of bundles."""

from pathlib import Path

from elic_runtime.evaluation.measuring import Measurer, Plan, Task
from elic_runtime.evaluation.points import Point


def points_of(folder: Path, *photographs: Path, **plan) -> list[Point]:
    """The points of photographs through one bundle."""
    measurer = Measurer(Plan({"bundle": folder}, **plan))
    return [point for path in photographs for point in measurer(Task(path)).result.points]
