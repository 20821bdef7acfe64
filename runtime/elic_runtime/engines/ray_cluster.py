"""Reach a Ray cluster, or start one on this machine, without a word on the terminal."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from elic_runtime.engines.protocol import WorkerError
from elic_runtime.machine import cores

ADDRESS_VARIABLE = "RAY_ADDRESS"
"""Ray's own variable for the address of a cluster."""

LOCAL = "local"

_STORE_BYTES = 100 << 20
"""Size of a local cluster's object store. Only jobs and results pass through it, which are small."""

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to Ray's makers
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # no message of a node is printed: what matters is raised
}


@contextmanager
def cluster(address: str | None, processors: int) -> Iterator[ModuleType]:
    """Give Ray, connected to a cluster. What was started or connected is ended afterwards.

    A connection that the process has already is used as it is.

    Parameters
    ----------
    address : str, optional
        As `ray.init` takes it, such as `auto` or `host:6379`. The default is what the variable RAY_ADDRESS says, or
        else `local`, a cluster of this machine that lives as long as the block.
    processors : int
        How many processors a local cluster has at least; otherwise as many as this process may use.

    Raises
    ------
    WorkerError
        If Ray is not installed, or the cluster cannot be reached.

    """
    ray = _import_ray()
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get(ADDRESS_VARIABLE) or LOCAL
    _connect(ray, address, processors)
    try:
        yield ray
    finally:
        ray.shutdown()


def room(ray: ModuleType, threads: int) -> int:
    """Return how many workers the cluster's processors have room for.

    Parameters
    ----------
    ray : module
        Ray, connected.
    threads : int
        Processors that a worker takes, all on one node.

    """
    nodes = (node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    return sum(int(processors // threads) for processors in nodes)


def _import_ray() -> ModuleType:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise WorkerError(f"the engine ray needs the package {error.name}: pip install 'elic-deploy[ray]'") from None


def _connect(ray: ModuleType, address: str, processors: int) -> None:
    local = {
        "num_cpus": max(cores(), processors),
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(local if address == LOCAL else {}),
        )
    except Exception as error:  # a refused connection, another version of Ray or Python, a bad address: each its own
        raise WorkerError(f"Ray at {address} cannot be used: {' '.join(str(error).split())}") from None
    finally:
        # Ray sets its own, which ends the program with another exit code.
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
