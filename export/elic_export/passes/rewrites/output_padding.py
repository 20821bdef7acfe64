"""The rewrite `fold_output_padding`: ConvTranspose nodes without the attribute output_padding."""

from typing import TYPE_CHECKING

from elic_export.passes.rewrites.protocol import Rewrite

if TYPE_CHECKING:
    import onnx


class FoldOutputPadding(Rewrite):
    """Subtracts the output_padding of each ConvTranspose from the pads at its end, which has the same effect.

    This is for RKNN, whose compiler ignores output_padding. An output_padding larger than the pads stays as it is.
    """

    name = "fold_output_padding"

    def of_graph(self, graph: "onnx.ModelProto") -> None:
        """Rewrite every ConvTranspose of the graph in place; see `Rewrite.of_graph`."""
        import onnx

        for node in graph.graph.node:
            attributes = {a.name: a for a in node.attribute}
            if node.op_type != "ConvTranspose" or "output_padding" not in attributes:
                continue
            extra = list(attributes["output_padding"].ints)
            pads = list(attributes["pads"].ints) if "pads" in attributes else [0] * 2 * len(extra)
            ends = [pad - more for pad, more in zip(pads[len(extra) :], extra, strict=True)]
            if min(ends) < 0:
                continue
            for name in ("output_padding", "pads"):
                if name in attributes:
                    node.attribute.remove(attributes[name])
            node.attribute.append(onnx.helper.make_attribute("pads", pads[: len(extra)] + ends))
