"""Platforms that are not here are simulated: what their `sys.platform` and `resource` would say."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from elic_export import memory

RSS = 200 * 2**20
"""Bytes."""


def other_system(monkeypatch, tmp_path, platform, maxrss):
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(ru_maxrss=maxrss))
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setitem(sys.modules, "resource", usage)


@pytest.mark.parametrize(("platform", "maxrss"), [("darwin", RSS), ("linux", RSS // 1024), ("freebsd14", RSS // 1024)])
def test_units_are_the_systems(monkeypatch, tmp_path, platform, maxrss):
    other_system(monkeypatch, tmp_path, platform, maxrss)
    assert memory.peak_mb() == 200


def test_windows_does_not_say(monkeypatch, tmp_path):
    other_system(monkeypatch, tmp_path, "win32", 0)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory.peak_mb() is None


def test_the_benchmark_is_there_without_the_module():
    code = "import sys; sys.modules['resource'] = None; import elic_export.benchmark"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_this_process_takes_some():
    assert 10 < memory.peak_mb() < 100_000
