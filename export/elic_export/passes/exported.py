"""A traced graph on its way to a file, and the samples that it is checked with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elic_runtime.runners import Arrays
from elic_runtime.subgraphs import Tensor
from numpy.typing import NDArray

from elic_export.errors import ExportError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Sample:
    """Inputs of a graph and the outputs that it must compute from them.

    Parameters
    ----------
    inputs, outputs : dict of ndarray
        Arrays by the role of the tensor.
    exact : bool
        Whether the outputs must be equal to the last bit, or only within a tolerance.

    """

    inputs: Arrays
    outputs: Arrays
    exact: bool = False


@dataclass(frozen=True)
class Exported:
    """A graph, with its inputs and outputs by their roles.

    Parameters
    ----------
    name : str
        Name of the subgraph.
    graph : ModelProto
        The graph.
    inputs, outputs : dict of Tensor
        Declared shapes by role, in the order of the graph.
    cut_after : str, optional
        For a part of g_s: name of the node that g_s is cut after.

    """

    name: str
    graph: "onnx.ModelProto"
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    cut_after: str | None = None


def run_graph(name: str, graph: "onnx.ModelProto", outputs: list[str] | None, inputs: Arrays) -> list[NDArray[Any]]:
    """Run a graph in ONNX Runtime on the CPU.

    Parameters
    ----------
    name : str
        Name of the subgraph, for the error message.
    graph : ModelProto
        The graph.
    outputs : list of str or None
        Names of the outputs to compute. None is for all.
    inputs : dict of ndarray
        Arrays by name of the input.

    Returns
    -------
    list of ndarray
        The outputs in that order.

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load or run the graph.

    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        return list(session.run(outputs, inputs))
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise ExportError(f"{name}: ONNX Runtime cannot run it: {' '.join(str(error).split())[:200]}") from None
