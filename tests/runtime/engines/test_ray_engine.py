"""Folders on a real Ray cluster: the same files in the same order, whoever dies, and in a second run too."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from elic_runtime.commands.coding_jobs import CompressJob
from elic_runtime.commands.jobs import pair
from elic_runtime.engines import RayEngine, Threads, WorkerError
from elic_runtime.engines.storage import CACHE_VARIABLE
from elic_runtime.errors import BundleError, ImageError
from elic_runtime.images import image_files, write_image
from ray_jobs import Recorded, Sleepy, begun, deadly, unloadable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes of one processor each, whose workers copy bundles to a folder of ours."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(cache))
        # Workers of a cluster import what is installed on its nodes, and here the jobs of this folder.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def engine(cluster):
    return RayEngine(workers=2, address=cluster.address)


@pytest.fixture(scope="module")
def folder(cat, tmp_path_factory):
    """Twelve photographs of several sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(12):
        write_image(folder / f"{i:02}.png", cat[10 * i : 10 * i + 100 + 20 * (i % 3), : 150 + 50 * (i % 4)])
    return folder


@pytest.fixture(scope="module")
def job(bundle_path):
    return CompressJob(str(bundle_path), threads=1)


@pytest.fixture(scope="module")
def expected(folder, job, tmp_path_factory):
    """The files that threads write, by their names."""
    out = tmp_path_factory.mktemp("expected")
    for _, outcome in Threads(2).run(pairs_of(folder, out), job):
        outcome.result()
    return files_of(out)


def pairs_of(folder, out):
    return pair(folder, out, image_files(folder), (".elic",), force=True)


def files_of(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def results_of(engine, pairs, job):
    return [(of, outcome.result()) for of, outcome in engine.run(pairs, job)]


def soon(condition, seconds=60):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "too late"
        time.sleep(0.02)
    return found


def test_files_are_those_of_threads_and_come_in_order(engine, folder, job, expected, tmp_path):
    pairs = pairs_of(folder, tmp_path / "out")
    results = results_of(engine, pairs, Recorded(job, tmp_path, nodes=2))
    assert [of for of, _ in results] == pairs
    assert [facts["input"] for _, facts in results] == [str(source) for source, _ in pairs]
    assert files_of(tmp_path / "out") == expected
    assert len({node for _, _, node in begun(tmp_path)}) == 2


def test_order_is_kept_however_long_a_job_takes(engine):
    numbers = results_of(engine, range(40), Sleepy(seconds=0.02))
    assert numbers == [(number, number * number) for number in range(40)]


def test_jobs_are_read_as_they_are_needed(engine):
    read = []
    results = engine.run((read.append(job) or job for job in range(1000)), Sleepy())
    assert [next(results)[0] for _ in range(5)] == list(range(5))
    results.close()
    assert len(read) < 50


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_loses_nothing(cluster, workers, folder, job, expected, tmp_path):
    """It is killed while it works on its second photograph; another takes its place."""
    killed, results = None, []
    engine = RayEngine(workers, address=cluster.address)
    for of, outcome in engine.run(pairs_of(folder, tmp_path / "out"), Recorded(job, tmp_path)):
        results.append((of, outcome.result()))
        processes = [process for _, process, _ in begun(tmp_path)]
        if killed is None and processes.count(processes[-1]) > 1:
            killed = processes[-1]
            os.kill(killed, signal.SIGKILL)
    assert killed is not None
    assert [of for of, _ in results] == pairs_of(folder, tmp_path / "out")
    assert {name: data for name, data in files_of(tmp_path / "out").items() if name in expected} == expected
    assert {process for _, process, _ in begun(tmp_path)} > {killed}


def test_a_lost_node_loses_nothing(cluster, folder, job, expected, tmp_path):
    """It is removed once its worker has begun an image; the rest of the cluster finishes the work."""
    added, results = cluster.add_node(num_cpus=1), []
    pairs = pairs_of(folder, tmp_path / "out")
    for of, outcome in RayEngine(3, address=cluster.address).run(pairs, Recorded(job, tmp_path, nodes=3)):
        results.append((of, outcome.result()))
        if len(results) == 1:
            assert added.node_id in {node for _, _, node in begun(tmp_path)}
            cluster.remove_node(added, allow_graceful=False)
    assert [of for of, _ in results] == pairs
    assert {name: data for name, data in files_of(tmp_path / "out").items() if name in expected} == expected


def test_a_job_that_kills_its_workers_is_given_up_alone(engine):
    outcomes = list(engine.run(range(8), Sleepy(deadly=3)))
    with pytest.raises(WorkerError, match="3 workers died of it"):
        outcomes[3][1].result()
    assert [outcome.result() for number, outcome in outcomes if number != 3] == [0, 1, 4, 16, 25, 36, 49]


def test_errors_are_those_of_the_job(engine):
    outcomes = [outcome for _, outcome in engine.run(range(4), Sleepy(refused=1, failing=2))]
    with pytest.raises(ImageError, match=r"^1: no image$") as refused:
        outcomes[1].result()
    assert type(refused.value) is ImageError
    with pytest.raises(ZeroDivisionError):
        outcomes[2].result()
    assert (outcomes[0].result(), outcomes[3].result()) == (0, 9)


def test_what_cannot_be_loaded_ends_the_run(engine, folder, job, tmp_path):
    with pytest.raises(ImageError, match=r"^nothing to load$"):
        results_of(engine, range(3), unloadable)
    with pytest.raises(WorkerError, match="3 workers died while they loaded"):
        results_of(engine, range(3), deadly)
    with pytest.raises(BundleError, match="no bundle here"):
        results_of(engine, pairs_of(folder, tmp_path), replace(job, bundle=str(tmp_path)))


def test_a_cluster_that_cannot_be_used_is_named(cluster):
    with pytest.raises(WorkerError, match="no node of the Ray cluster has 64 processors"):
        results_of(RayEngine(threads=64, address=cluster.address), range(3), Sleepy())


def test_a_bundle_behind_a_url_reaches_every_node(cluster, engine, bundle_path, folder, job, expected, tmp_path):
    url = f"file://{bundle_path}"
    results_of(engine, pairs_of(folder, tmp_path / "out"), Recorded(replace(job, bundle=url), tmp_path, nodes=2))
    assert files_of(tmp_path / "out") == expected
    assert len({node for _, _, node in begun(tmp_path)}) == 2
    cached = list((Path(os.environ[CACHE_VARIABLE]) / "elic-deploy/bundles").glob("*/manifest.json"))
    assert [path.read_bytes() for path in cached] == [(bundle_path / "manifest.json").read_bytes()]


def elic(*args, **options):
    command = [sys.executable, "-m", "elic_runtime", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_a_broken_image_is_reported_and_the_others_are_written(folder, expected, bundle_path, tmp_path):
    """By the command, on a cluster of its own."""
    broken = shutil.copytree(folder, tmp_path / "in")
    (broken / "05.png").write_text("no image")
    said = {}
    for engine in ("threads", "ray"):
        given = ("in", engine, "--bundle", bundle_path, "--threads", 1, "--jobs", 2, "--engine", engine)
        run = elic("compress", *given, cwd=tmp_path)
        out, said[engine] = run.communicate(timeout=300)
        assert run.returncode == 2
        assert [line.split(".elic:")[0] for line in out.splitlines()] == [
            f"{engine}/{name.removesuffix('.elic')}" for name in sorted(expected) if name != "05.elic"
        ]
    assert said["ray"] == said["threads"]
    assert said["ray"].startswith("error: in/05.png: ")
    assert said["ray"].count("\n") == 1
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "threads")
    assert files_of(tmp_path / "ray") == {name: data for name, data in expected.items() if name != "05.elic"}


def test_a_run_that_is_stopped_is_continued(cluster, folder, expected, bundle_path, tmp_path):
    """By a second command, which makes only what is missing, damaged or older than its photograph."""
    source = shutil.copytree(folder, tmp_path / "in")
    out = tmp_path / "out"
    given = ("compress", source, out, "--bundle", bundle_path, "--engine", "ray", "--ray-address", cluster.address)
    run = elic(*given)
    soon(lambda: out.is_dir() and any(path.suffix == ".elic" for path in out.iterdir()))
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=60)
    assert run.returncode == 143, said
    assert said == ("", "")
    kept = [path.name for path in sorted(out.glob("*.elic"))]
    assert 1 <= len(kept) < 12, "it was stopped in the middle"
    (out / kept[0]).write_bytes(expected[kept[0]][:-1])
    again = elic(*given, "--resume", "--json")
    result, errors = again.communicate(timeout=120)
    assert (again.returncode, errors) == (0, "")
    assert {facts["output"]: facts["kept"] for facts in json.loads(result)} == {
        str(out / name): name in kept[1:] for name in sorted(expected)
    }
    assert {name: data for name, data in files_of(out).items() if name in expected} == expected
