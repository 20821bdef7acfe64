"""Open a bundle with a runner that is chosen by its name."""

import logging
import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec

from elic_runtime.bundle import Bundle
from elic_runtime.entries import CompiledTarget
from elic_runtime.errors import BundleError, ElicError
from elic_runtime.machine import cores
from elic_runtime.manifest import Manifest
from elic_runtime.runners.compiled import Compiled
from elic_runtime.runners.onnxruntime import OnnxRuntime, Providers, onnxruntime_factory
from elic_runtime.runners.protocol import RunnerFactory
from elic_runtime.runners.quiet import quietly

logger = logging.getLogger(__name__)

ENGINES: dict[str, tuple[str, ...]] = {
    "iree": ("iree.runtime",),
    "mnn": ("MNN",),
    "openvino": ("openvino",),
    "qnn": ("onnxruntime_qnn",),
    "rknn": ("rknnlite", "rknn"),
}
"""The packages that run what each compiler makes, of which one is enough. The module of the same name runs them."""

AUTO, ONNXRUNTIME = "auto", "onnxruntime"

RUNNERS = (ONNXRUNTIME, AUTO, *ENGINES)
"""The names that `Codec.load` and `--runner` take."""


def open_with(
    path: str | os.PathLike[str],
    runner: str | RunnerFactory | None,
    *,
    providers: Providers = ("CPUExecutionProvider",),
    threads: int = 0,
    halves: Sequence[str] = ("encoder", "decoder"),
) -> tuple[Bundle, RunnerFactory]:
    """Open a bundle, and return what runs its subgraphs.

    Parameters
    ----------
    path : str or PathLike
        The bundle's folder.
    runner : str or RunnerFactory, optional
        One of `RUNNERS`, or an application's own factory. The default is ONNX Runtime.
    providers : Providers
        ONNX Runtime's execution providers, in order of preference.
    threads : int
        Threads per operator; 0 stands for one per core.
    halves : sequence of {"encoder", "decoder"}
        What `auto` chooses the fastest for.

    Returns
    -------
    tuple of Bundle and RunnerFactory
        The bundle, whose transforms are those that the runner takes, and the factory.

    Raises
    ------
    BundleError
        If the bundle is invalid or was not compiled for the runner, or the runner's package is not installed.
    ElicError
        If there is no such runner, or an option has no valid value.

    """
    if callable(runner):
        return Bundle(path), runner
    onnxruntime = onnxruntime_factory(providers, threads)
    if runner == AUTO:
        runner = fastest(Bundle(path).manifest, halves)
        logger.info("runner auto: %s", runner)
    if runner in (None, ONNXRUNTIME):
        return Bundle(path), onnxruntime
    if runner not in ENGINES:
        raise ElicError(f"{runner!r} is not a runner: the runners are {', '.join(RUNNERS)}")
    bundle = Bundle(path, runner)
    return bundle, _load_engine(runner, bundle.manifest.compiled[runner], onnxruntime)


def installed(name: str) -> bool:
    """Return whether a package that runs an engine is installed here."""
    return any(_found(package) for package in ENGINES[name])


def fastest(manifest: Manifest, halves: Iterable[str] = ("encoder", "decoder")) -> str:
    """Return the runner that took the least time where the bundle was compiled, of those that are installed here.

    Parameters
    ----------
    manifest : Manifest
        The bundle's manifest. A compiled target counts if its checks passed and it was not simulated.
    halves : iterable of {"encoder", "decoder"}
        Which halves of the codec are to be fast.

    Returns
    -------
    str
        Its name: `onnxruntime` if nothing is faster.

    """
    wanted = set(halves)

    def share(compiled: CompiledTarget) -> float:
        speed = compiled.speed
        if speed is None or compiled.simulated or not compiled.passed:
            return 1.0
        taken, onnxruntime = (
            sum(seconds for name, seconds in times.items() if manifest.table[name].needed_by in wanted)
            for times in (speed.seconds, speed.onnxruntime_seconds)
        )
        return taken / onnxruntime if onnxruntime else 1.0

    shares = {name: share(c) for name, c in manifest.compiled.items() if name in ENGINES and installed(name)}
    best = min(shares, key=lambda name: shares[name], default=ONNXRUNTIME)
    return best if shares.get(best, 1.0) < 1.0 else ONNXRUNTIME


def _load_engine(name: str, compiled: CompiledTarget, onnxruntime: OnnxRuntime) -> Compiled:
    if not installed(name):
        package = ENGINES[name][-1]
        raise BundleError(f"the runner {name} needs the package {package}, which is not installed: see docs/targets.md")
    try:
        with quietly():
            module = import_module(f"elic_runtime.runners.{name}")
            engine = module.Engine(compiled, onnxruntime.threads or cores())
    except Exception as error:
        raise BundleError(f"the runner {name} does not start: {' '.join(str(error).split())}") from None
    return Compiled(engine, frozenset(compiled.subgraphs), onnxruntime)


def _found(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package's parent
        return False
