"""The base class of rewrites, which compute the same numbers by other graphs or operators.

An export config chooses rewrites by name. The modules of this package import PyTorch and ONNX inside of their methods,
so that a config can be checked, and an export with nothing to do can end, without importing either.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from elic_export.passes.exported import Exported, Sample


class Rewrite:
    """Base class of rewrites. Its methods change nothing; a subclass overrides those that it needs.

    Attributes
    ----------
    name : str
        Its name in a config.
    adds : frozenset of str
        Names of the subgraphs that it adds to a bundle. The no-entropy form, which is one graph, refuses such rewrites.
    options : tuple of str
        Names of the fields of `ExportConfig` that only this rewrite reads.

    """

    name: ClassVar[str]
    adds: ClassVar[frozenset[str]] = frozenset()
    options: ClassVar[tuple[str, ...]] = ()

    def of_module(self, module: "nn.Module") -> "nn.Module":
        """Rewrite a module before it is traced.

        This is not called for subgraphs that decide symbols: another order of float sums would change the bit stream,
        and the proof that a model is exact holds for its layers as they are.

        Parameters
        ----------
        module : Module
            The module of a subgraph. It must stay as it is.

        Returns
        -------
        Module
            The rewritten module.

        """
        return module

    def of_graph(self, graph: "onnx.ModelProto") -> None:
        """Rewrite a traced graph in place.

        This is called for all subgraphs, so it must keep the order of sums.

        Parameters
        ----------
        graph : ModelProto
            The graph of a subgraph.

        """

    def parts(
        self,
        whole: "Exported",  # noqa: ARG002 - for subclasses
        sample: "Sample",  # noqa: ARG002
        fixed: Mapping[str, int],  # noqa: ARG002
        options: Mapping[str, str],  # noqa: ARG002
    ) -> "list[Exported]":
        """Return graphs to export besides a traced one, which compute the same when run one after the other.

        Parameters
        ----------
        whole : Exported
            The traced graph.
        sample : Sample
            Inputs of the graph, and the outputs that it computes from them.
        fixed : mapping of str to int
            Batch, height and width of the image in pixels, each if it is fixed.
        options : mapping of str to str
            Values of the rewrite's options, by name.

        Returns
        -------
        list of Exported
            The parts in the order in which they run. The list is empty if the rewrite does not cut this graph.

        """
        return []
