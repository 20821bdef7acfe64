"""Load a bundle's subgraph with any factory, and check its inputs and outputs against the manifest."""

import numpy as np

from elic_runtime.bundle import Bundle
from elic_runtime.entries import Interface
from elic_runtime.errors import BundleError, NotFiniteError
from elic_runtime.runners.protocol import Arrays, Closable, Runner, RunnerFactory
from elic_runtime.shapes import fix, measure


def load_runner(bundle: Bundle, factory: RunnerFactory, name: str, *, finite: bool = True) -> Closable:
    """Load a subgraph, and wrap its runner in checks.

    The wrapped runner takes and returns float32 arrays by the tensors' roles (see docs/architecture.md), whatever their
    names and data types in the graph. It raises BundleError unless every declared output has the right type and shape
    and is finite: a custom runner's wrong layout or NaN would otherwise show as a wrong image.

    Parameters
    ----------
    bundle : Bundle
        The bundle that contains the subgraph.
    factory : RunnerFactory
        What loads the subgraph.
    name : str
        Name of the subgraph.
    finite : bool
        Whether to refuse outputs with NaN or infinity.

    Raises
    ------
    BundleError
        If the subgraph is missing, was changed, or cannot be loaded.

    """
    path, info = bundle.graph_path(name), bundle.interface(name)
    return _Checked(name, factory(name, path, info), info, finite=finite)


class _Checked:
    """A runner, and the checks of what it takes and gives."""

    def __init__(self, name: str, runner: Runner, info: Interface, *, finite: bool) -> None:
        self._name, self._runner, self._info, self._finite = name, runner, info, finite
        self._taken = {tensor.role: tensor.shape for tensor in info.inputs}

    def __call__(self, inputs: Arrays) -> Arrays:
        name, info = self._name, self._info
        try:
            sizes = measure(self._taken, {role: inputs[role].shape for role in self._taken})
        except ValueError as error:
            raise BundleError(f"{name} cannot take this: {error}") from None
        with np.errstate(over="ignore"):  # values beyond the range of fp16 become infinite, as on the device
            given = {t.name: np.asarray(inputs[t.role], t.dtype) for t in info.inputs}
        outputs = self._runner(given)
        found = {}
        for tensor in info.outputs:
            value, shape = outputs.get(tensor.name) if isinstance(outputs, dict) else None, fix(tensor.shape, sizes)
            if not isinstance(value, np.ndarray) or value.dtype != tensor.dtype or value.shape != shape:
                raise BundleError(f"the runner of {name} returns no {tensor.name} of {tensor.dtype} {list(shape)}")
            if self._finite and not np.isfinite(value).all():
                raise NotFiniteError(f"the runner of {name} returns an output {tensor.name} that is not finite")
            found[tensor.role] = value.astype(np.float32, copy=False)
        return found

    def close(self) -> None:
        """Release what the runner holds, if it can."""
        close = getattr(self._runner, "close", None)
        if close is not None:
            close()
