"""The rewrite `split_g_s`: two more graphs, the parts of g_s, for compilers that take large graphs in parts only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from elic_runtime.subgraphs import Tensor

from elic_export.passes.exported import Exported, Sample
from elic_export.passes.rewrites.protocol import Rewrite

if TYPE_CHECKING:
    import onnx


class SplitSynthesis(Rewrite):
    """Adds the subgraphs `g_s_0` and `g_s_1`, cut after the node that the option `split_g_s_after` names."""

    name = "split_g_s"
    adds = frozenset({"g_s_0", "g_s_1"})
    options = ("split_g_s_after",)

    def parts(
        self, whole: Exported, sample: Sample, fixed: Mapping[str, int], options: Mapping[str, str]
    ) -> list[Exported]:
        """Cut g_s, and declare the feature map between its parts; see `Rewrite.parts`.

        Raises
        ------
        ExportError
            If g_s cannot be cut after that node; see `cut_graph`.

        """
        import onnx
        from elic_runtime.shapes import fix

        from elic_export.passes.cut import cut_graph
        from elic_export.passes.exported import load_graph

        if whole.name != "g_s":
            return []
        after = options["split_g_s_after"]
        first, second = cut_graph(whole.graph, after, "features")
        (features,) = load_graph("g_s_0", _without_output_shape(first))(sample.inputs).values()
        stride = sample.outputs["x_hat"].shape[2] // features.shape[2]
        tensor = Tensor(features.shape[1], stride)
        for field in (first.graph.output, second.graph.input):
            del field[:]
            dims = fix(tensor.dims, fixed)
            field.append(onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, dims))
        between = {"features": tensor}
        return [
            replace(whole, name="g_s_0", graph=first, outputs=between, cut_after=after, reach=None),
            replace(whole, name="g_s_1", graph=second, inputs=between, cut_after=after, reach=None),
        ]


def _without_output_shape(graph: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return a copy of a part whose output is declared as float, of any shape."""
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(graph)
    probe.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    probe.graph.output[0].type.tensor_type.ClearField("shape")
    return probe
