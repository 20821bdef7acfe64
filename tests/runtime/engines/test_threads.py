"""Folders on several threads: order, bounds, failures, and what is loaded."""

import threading
import time

import pytest
from elic_runtime.engines import Threads
from elic_runtime.engines.threads import in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_however_long_they_take(workers):
    def run(job):
        time.sleep(0.02 if job % 3 == 0 else 0)
        return job * job

    found = [(job, outcome.result()) for job, outcome in Threads(workers).run(range(20), lambda: run)]
    assert found == [(job, job * job) for job in range(20)]


def test_no_more_jobs_begin_than_there_are_workers():
    begun, lock = [], threading.Lock()

    def run(job):
        with lock:
            begun.append(job)

    for done, (_, future) in enumerate(in_order(range(30), run, 4)):
        future.result()
        time.sleep(0.002)
        assert len(begun) <= done + 4


def test_jobs_run_at_once():
    """Each waits for the other: one after the other, they would wait in vain."""
    barrier = threading.Barrier(2, timeout=30)
    assert [future.result() for _, future in in_order(range(2), lambda _: barrier.wait() >= 0, 2)] == [True, True]


def test_a_failure_is_its_own_jobs():
    def run(job):
        if job == 1:
            raise ValueError("one")
        return job

    outcomes = [outcome for _, outcome in Threads(2).run(range(3), lambda: run)]
    assert outcomes[0].result() == 0
    with pytest.raises(ValueError, match="one"):
        outcomes[1].result()
    assert outcomes[2].result() == 2


def test_no_jobs_are_no_work():
    assert list(in_order([], print, 2)) == []


def test_threads_share_what_is_loaded():
    loaded = []

    def make_run():
        loaded.append(threading.get_ident())
        return abs

    assert [outcome.result() for _, outcome in Threads(3).run(range(-9, 0), make_run)] == list(range(9, 0, -1))
    assert len(loaded) == 1


def test_what_cannot_be_loaded_is_known_before_the_first_job():
    read = []

    def make_run():
        raise ValueError("no bundle")

    with pytest.raises(ValueError, match="no bundle"):
        Threads(2).run((read.append(job) for job in range(3)), make_run)
    assert read == []
