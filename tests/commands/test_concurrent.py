"""Folders on several threads: order, bounds, failures."""

import threading
import time

import pytest
from elic_runtime.commands.concurrent import in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_however_long_they_take(workers):
    def run(job):
        time.sleep(0.02 if job % 3 == 0 else 0)
        return job * job

    found = [(job, future.result()) for job, future in in_order(range(20), run, workers)]
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

    futures = [future for _, future in in_order(range(3), run, 2)]
    assert futures[0].result() == 0
    with pytest.raises(ValueError, match="one"):
        futures[1].result()
    assert futures[2].result() == 2


def test_no_jobs_are_no_work():
    assert list(in_order([], print, 2)) == []
