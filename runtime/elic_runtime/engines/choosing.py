"""Make an engine that is chosen by its name."""

from typing import Literal, get_args

from elic_runtime.engines.protocol import Engine
from elic_runtime.engines.ray_engine import RayEngine
from elic_runtime.engines.threads import Threads
from elic_runtime.errors import ElicError

EngineName = Literal["threads", "ray"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)


def make_engine(
    name: EngineName, workers: int | None = None, threads: int = 0, ray_address: str | None = None
) -> Engine:
    """Make an engine.

    Parameters
    ----------
    name : {"threads", "ray"}
        Which one.
    workers : int, optional
        How many jobs run at once. The default is 1 for threads, and for Ray as many as its processors allow.
    threads : int
        Threads per operator; 0 stands for one per core, and for 1 in a worker of Ray.
    ray_address : str, optional
        The cluster, as `ray.init` takes it; only for Ray.

    Raises
    ------
    ElicError
        If there is no such engine, or if an address was given that the engine does not use.

    """
    if name == "ray":
        return RayEngine(workers, threads or 1, ray_address)
    if name != "threads":
        raise ElicError(f"{name!r} is not an engine: the engines are {', '.join(ENGINE_NAMES)}")
    if ray_address is not None:
        raise ElicError(f"--ray-address {ray_address}: only --engine ray uses it")
    return Threads(workers or 1, threads)
