"""Engines by their names, and what they say if they cannot be had."""

import subprocess
import sys

import pytest
from elic_runtime.engines import RayEngine, Threads, make_engine
from elic_runtime.errors import ElicError


def test_the_default_is_this_process():
    assert make_engine("threads") == Threads(workers=1, threads=0)
    assert make_engine("threads", 3, 2) == Threads(workers=3, threads=2)


def test_a_worker_of_ray_has_one_thread_unless_more_are_asked_for():
    assert make_engine("ray") == RayEngine(workers=None, threads=1, address=None)
    assert make_engine("ray", 8, 4, "auto") == RayEngine(workers=8, threads=4, address="auto")


def test_only_ray_has_an_address():
    with pytest.raises(ElicError, match="--engine ray"):
        make_engine("threads", ray_address="auto")
    with pytest.raises(ElicError, match="threads, ray"):
        make_engine("dask")


@pytest.mark.parametrize(
    ("missing", "call"),
    [("ray", "list(make_engine('ray').run([1], float))"), ("fsspec", "local_bundle('s3://bucket/bundle')")],
)
def test_a_missing_package_is_named_with_its_extra(missing, call):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from elic_runtime.engines import make_engine
from elic_runtime.engines.storage import local_bundle
{call}
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = run.stderr.splitlines()[-1]
    assert f"needs the package {missing}" in last or f"need the package {missing}" in last
    assert "pip install 'elic-deploy[ray]'" in last


def test_ray_is_not_imported_before_it_runs():
    code = "import sys, elic_runtime.commands.cli; print(*sorted({'ray', 'fsspec', 'filelock'} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
