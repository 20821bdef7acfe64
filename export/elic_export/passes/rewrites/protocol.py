"""What a rewrite is: the same numbers by other graphs or operators, chosen by name in an export config.

Modules of this package import PyTorch and ONNX inside of their methods: a config is checked, and an
export that has nothing to do answers, without either.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from elic_export.passes.exported import Exported, Sample


class Rewrite:
    """One rewrite. A kind of it overrides what it changes; everything else stays as it is.

    Attributes
    ----------
    name : str
        What a config calls it.
    adds : frozenset of str
        Subgraphs that a bundle has only with this rewrite. The no-entropy form, which is one graph, refuses it then.
    options : tuple of str
        Fields of the config that only this rewrite reads.

    """

    name: ClassVar[str]
    adds: ClassVar[frozenset[str]] = frozenset()
    options: ClassVar[tuple[str, ...]] = ()

    def of_module(self, module: "nn.Module") -> "nn.Module":
        """Rewrite a module before it is traced; the one that is given stays as it is.

        Subgraphs that decide symbols are left out: another order of float sums is another bit stream, and the
        proof of exact ones is of their layers as they are.
        """
        return module

    def of_graph(self, graph: "onnx.ModelProto") -> None:
        """Rewrite a traced graph in place, keeping every sum: all subgraphs get it."""

    def parts(
        self,
        whole: "Exported",  # noqa: ARG002 - these are what rewrites that cut need
        sample: "Sample",  # noqa: ARG002
        fixed: Mapping[str, int],  # noqa: ARG002
        options: Mapping[str, str],  # noqa: ARG002
    ) -> "list[Exported]":
        """Graphs to export besides `whole`, which give the same one after the other.

        Parameters
        ----------
        whole : Exported
            The traced graph.
        sample : Sample
            Inputs of it, and what it gives for them.
        fixed : mapping of str to int
            Sizes of the dimensions that are not open.
        options : mapping
            The fields of the config that `options` names.

        """
        return []
