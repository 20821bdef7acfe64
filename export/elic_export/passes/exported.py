"""A traced graph on its way to a file, and the samples that it is checked with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elic_runtime.entries import Reach
from elic_runtime.runners import WITHOUT_SATURATION, Arrays, Runner
from elic_runtime.subgraphs import Tensor

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
    reach : Reach, optional
        The receptive field.

    """

    name: str
    graph: "onnx.ModelProto"
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    cut_after: str | None = None
    reach: Reach | None = None


def load_graph(name: str, graph: "onnx.ModelProto") -> Runner:
    """Load a graph in ONNX Runtime on the CPU.

    Parameters
    ----------
    name : str
        Name of the subgraph, for error messages.
    graph : ModelProto
        The graph.

    Returns
    -------
    Runner
        Computes all outputs. It raises ExportError if ONNX Runtime cannot run the graph.

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load the graph.

    """
    import onnxruntime

    def cannot(error: Exception) -> ExportError:
        return ExportError(f"{name}: ONNX Runtime cannot run it: {' '.join(str(error).split())[:200]}")

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*WITHOUT_SATURATION)
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise cannot(error) from None
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        try:
            return dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:
            raise cannot(error) from None

    return run
