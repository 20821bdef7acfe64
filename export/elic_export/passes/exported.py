"""A traced graph on its way to a file, and inputs that it is tried on."""

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
    """Inputs of a graph, and what it must give for them: exactly, or up to a tolerance."""

    inputs: Arrays
    outputs: Arrays
    exact: bool = False


@dataclass(frozen=True)
class Exported:
    """A finished graph, and what its inputs and outputs are, by the names that they have everywhere else.

    cut_after: the node that a half of g_s ends or begins after.
    """

    name: str
    graph: "onnx.ModelProto"
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    cut_after: str | None = None


def run_graph(name: str, graph: "onnx.ModelProto", outputs: list[str] | None, inputs: Arrays) -> list[NDArray[Any]]:
    """Run a graph in ONNX Runtime, on the CPU. Raises ExportError if it does not run."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        return list(session.run(outputs, inputs))
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise ExportError(f"{name}: ONNX Runtime cannot run it: {' '.join(str(error).split())[:200]}") from None
