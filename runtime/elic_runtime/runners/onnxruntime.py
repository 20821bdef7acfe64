"""The default runner: ONNX Runtime, with any of its execution providers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from elic_runtime.entries import Interface
from elic_runtime.errors import BundleError, ElicError
from elic_runtime.runners.protocol import Arrays, Runner

Provider = str | tuple[str, dict[str, Any]]
"""An execution provider of ONNX Runtime: its name, or its name and its options."""

Providers = Provider | Sequence[Provider]
"""One execution provider, or several in order of preference."""

WITHOUT_SATURATION = ("session.x64quantprecision", "1")
"""A session's setting for graphs in int8. On x86-64 without VNNI, ONNX Runtime adds products of uint8 and int8 in 16
bits, which saturate: errors of y were 3.4 % of its range, and are 0.5 % once weights are converted to uint8."""

MAX_THREADS = 256
"""Largest number of threads per operator."""


@dataclass(frozen=True)
class OnnxRuntime:
    """A setting of ONNX Runtime, and the factory that loads subgraphs with it; `onnxruntime_factory` creates it.

    Parameters
    ----------
    providers : tuple
        Execution providers in order of preference, each with its options.
    threads : int
        Threads per operator; 0 stands for one per core.
    optimize : bool
        Whether graphs are optimized.

    """

    providers: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    threads: int
    optimize: bool

    @property
    def repeats(self) -> bool:
        """Whether two sessions of one graph compute the same; those of a GPU may choose algorithms by timing them."""
        return all(name == "CPUExecutionProvider" for name, _ in self.providers)

    def __str__(self) -> str:
        names = " and ".join(name.removesuffix("ExecutionProvider") for name, _ in self.providers)
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}" if self.threads else "a thread per core"
        optimized = "" if self.optimize else ", not optimized"
        return f"ONNX Runtime {onnxruntime.__version__}, {names}, {threads}{optimized}"

    def __call__(self, name: str, graph: Path, info: Interface) -> Runner:
        """Load one subgraph.

        Parameters
        ----------
        name : str
            Name of the subgraph.
        graph : Path
            Its ONNX file.
        info : Interface
            Its entry in the manifest.

        Raises
        ------
        BundleError
            If the graph cannot be loaded, a provider cannot be started, or the graph does not have the inputs and
            outputs that the manifest states.

        """
        providers = [(provider, dict(options)) for provider, options in self.providers]
        try:
            session = onnxruntime.InferenceSession(str(graph), self._options(), providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise BundleError(f"{graph}: ONNX Runtime cannot load {name}: {error}") from None
        # ONNX Runtime must not replace a provider that does not start or fails, since another computes differently.
        session.disable_fallback()
        missing = {provider for provider, _ in self.providers} - set(session.get_providers())
        if missing:
            raise BundleError(f"ONNX Runtime cannot start {', '.join(sorted(missing))} here")
        names = [output.name for output in info.outputs]
        for declared, found in ((info.inputs, session.get_inputs()), (info.outputs, session.get_outputs())):
            if [(t.name, list(t.shape)) for t in declared] != [(t.name, t.shape) for t in found]:
                raise BundleError(f"{graph}: its inputs and outputs are not those that the manifest states")

        def run(inputs: Arrays) -> Arrays:
            try:
                return dict(zip(names, session.run(names, inputs), strict=True))
            except Exception as error:
                raise BundleError(f"ONNX Runtime cannot run {name}: {' '.join(str(error).split())}") from None

        return run

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if self.optimize else levels.ORT_DISABLE_ALL
        options.log_severity_level = 3
        # Each of 13 sessions would keep its planned memory. Without planning, the peak is 1168 MB instead of 1873 MB
        # (encoder and decoder, an image of 768x512 pixels, g_s not rewritten), and the speed is the same.
        options.enable_mem_pattern = False
        # A codec runs one subgraph after another. One arena therefore serves all sessions: an image of a megapixel in
        # windows of 512x512 takes 558 MB instead of 869 MB, and the same time.
        _share_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        # And the threads of idle sessions must not spin
        # (measured on 2 cores: compress takes 0.73 s instead of 0.97 s, decompress 0.94 s instead of 1.48 s).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(*WITHOUT_SATURATION)
        return options


@cache
def _share_arena() -> None:
    """Register the memory on the CPU that sessions share, once per process."""
    kinds, places = onnxruntime.OrtAllocatorType, onnxruntime.OrtMemType
    arena = onnxruntime.OrtMemoryInfo("Cpu", kinds.ORT_ARENA_ALLOCATOR, 0, places.DEFAULT)
    onnxruntime.create_and_register_allocator(arena, None)


def onnxruntime_factory(
    providers: Providers = ("CPUExecutionProvider",), threads: int = 0, *, optimize: bool = True
) -> OnnxRuntime:
    """Create a factory that loads subgraphs into ONNX Runtime.

    Parameters
    ----------
    providers : Providers
        Execution providers, in order of preference.
    threads : int
        Threads per operator; 0 leaves the number to ONNX Runtime, which uses one per core.
    optimize : bool
        Whether ONNX Runtime optimizes graphs. Without optimization it is slower; this is for comparisons.

    Raises
    ------
    BundleError
        If this ONNX Runtime does not have a provider.
    ElicError
        If `providers` or `threads` has no valid value.

    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= MAX_THREADS:
        raise ElicError(f"threads={threads!r}: it must be a number from 0 (one per core) to {MAX_THREADS}")
    chosen = [_provider(provider) for provider in _listed(providers)]
    if not chosen:
        raise ElicError("providers: name one, such as CPUExecutionProvider")
    known = onnxruntime.get_available_providers()
    for name, _ in chosen:
        if name not in known:
            raise BundleError(f"this ONNX Runtime has no {name}: it has {', '.join(known)}")
    return OnnxRuntime(tuple(chosen), threads, optimize)


def _listed(providers: object) -> list[object]:
    """Return providers as a list, which has one item for a single provider with or without options."""
    if isinstance(providers, str) or (
        isinstance(providers, tuple) and len(providers) == 2 and isinstance(providers[1], Mapping)
    ):
        return [providers]
    return list(providers) if isinstance(providers, Sequence) else [providers]


def _provider(provider: object) -> tuple[str, tuple[tuple[str, str], ...]]:
    match provider:
        case str():
            return provider, ()
        case (str() as name, Mapping() as options):
            return name, tuple(sorted((str(key), str(value)) for key, value in options.items()))
    raise ElicError(f"providers: {provider!r} is neither a provider's name nor a pair of a name and its options")
