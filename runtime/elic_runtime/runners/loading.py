"""A bundle's subgraph, loaded by any factory and held to what the manifest states."""

import numpy as np

from elic_runtime.bundle import Bundle
from elic_runtime.errors import BundleError, NotFiniteError
from elic_runtime.runners.protocol import Arrays, Runner, RunnerFactory
from elic_runtime.shapes import fix, measure


def load_runner(bundle: Bundle, factory: RunnerFactory, name: str, *, finite: bool = True) -> Runner:
    """A subgraph's runner, which raises BundleError unless it gives every declared output, whole and finite.

    finite: refuse values that are not; otherwise they are handed on.

    It takes and gives float32 by the names of DESIGN.md, whatever the graph calls its
    tensors and holds them in. What an application plugs in is outside of this project's
    tests; a wrong layout or a NaN would otherwise be painted.
    """
    path, info = bundle.graph_path(name), bundle.manifest.subgraphs[name]
    runner = factory(name, path, info)
    taken = {tensor.role: tensor.shape for tensor in info.inputs}

    def run(inputs: Arrays) -> Arrays:
        try:
            sizes = measure(taken, {role: inputs[role].shape for role in taken})
        except ValueError as error:
            raise BundleError(f"{name} cannot take this: {error}") from None
        with np.errstate(over="ignore"):  # what fp16 does not hold is infinite, as it is on the device
            given = {t.name: np.asarray(inputs[t.role], t.dtype) for t in info.inputs}
        outputs = runner(given)
        found = {}
        for tensor in info.outputs:
            value, shape = outputs.get(tensor.name) if isinstance(outputs, dict) else None, fix(tensor.shape, sizes)
            if not isinstance(value, np.ndarray) or value.dtype != tensor.dtype or value.shape != shape:
                raise BundleError(f"the runner of {name} gives no {tensor.name}, {tensor.dtype} {list(shape)}")
            if finite and not np.isfinite(value).all():
                raise NotFiniteError(f"the runner of {name} gives a {tensor.name} that is not finite")
            found[tensor.role] = value.astype(np.float32, copy=False)
        return found

    return run
