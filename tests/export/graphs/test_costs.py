"""What a graph costs, against counts by hand and against PyTorch's own counter."""

import numpy as np
import onnx
import pytest
import torch
from elic_export.bundle import declare, write_graph
from elic_export.config import ExportConfig
from elic_export.graphs.costs import Cost, graph_cost, layer_multiply_adds
from elic_export.graphs.declare import model_info
from elic_export.passes.exported import Exported
from elic_export.passes.int8 import LayerRange, layers_of, to_int8
from elic_export.passes.rewrites import REWRITES
from elic_runtime.manifest_file import read_manifest
from elic_runtime.shapes import Extent, resolve
from elic_runtime.subgraphs import subgraphs
from onnx import TensorProto, helper
from torch.utils.flop_counter import FlopCounterMode


def graph(nodes, inputs, outputs, weights):
    """A graph of float tensors, whose weights are given by their shapes."""

    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    initializers = [onnx.numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    made = helper.make_graph(nodes, "tested", values(inputs), values(outputs), initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def convolutions():
    """A convolution, one in groups and a transposed one, two of which share their weights, for open shapes."""
    return graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["r"]),
            helper.make_node("Conv", ["r", "v"], ["c"], group=2),
            helper.make_node("Conv", ["c", "v"], ["d"], group=2),
            helper.make_node("ConvTranspose", ["d", "t"], ["y"], strides=[2, 2]),
        ],
        {"x": ["batch", 3, "height", "width"]},
        {"y": ["batch", 5, "rows", "columns"]},
        {"w": (4, 3, 3, 3), "b": (4,), "v": (4, 2, 1, 1), "t": (4, 5, 2, 2)},
    )


def test_convolutions_by_hand(convolutions):
    """Of two images of 8x12, whose first layer gives 4x6."""
    layers = layer_multiply_adds(convolutions, {"x": (2, 3, 8, 12)})
    positions = 2 * 4 * 6
    expected = {"a": 4 * 3 * 9 * positions, "c": 8 * positions, "d": 8 * positions, "y": 4 * 5 * 4 * positions}
    assert layers == expected
    cost = graph_cost(convolutions, {"x": (2, 3, 8, 12)})
    assert cost == Cost(sum(expected.values()), 4 * 3 * 9 + 4 + 8 + 80)


def test_matrix_products_by_hand():
    """Of 5 rows of 7, times 7 columns of 3, then turned, times 3 rows of 2 in each of 4 images."""
    products = graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["a"], transA=1, transB=1),
            helper.make_node("MatMul", ["z", "a"], ["y"]),
        ],
        {"x": [7, 5], "z": [4, 2, 5]},
        {"y": [4, 2, 3]},
        {"w": (3, 7), "b": (3,)},
    )
    shapes = {"x": (7, 5), "z": (4, 2, 5)}
    assert layer_multiply_adds(products, shapes) == {"a": 5 * 7 * 3, "y": 4 * 2 * 5 * 3}
    assert graph_cost(products, shapes).parameters == 3 * 7 + 3


@pytest.fixture(scope="module")
def by_pytorch(float_deployment, config):
    """Multiply-adds of the modules behind the subgraphs of the float bundle: PyTorch counts two operations each."""
    counted, floats = {}, config.model_copy(update={"arithmetic": "float"})
    for declaration in declare(float_deployment.model.spec, floats):
        module = declaration.build(float_deployment).eval()
        if not declaration.subgraph.decides_symbols:
            for name in floats.rewrites:
                module = REWRITES[name].of_module(module)
        shape = floats.extent(declaration.subgraph).max
        inputs = [torch.zeros(resolve(t.dims, 1, shape)) for t in declaration.subgraph.inputs.values()]
        counter = FlopCounterMode(display=False)
        with torch.inference_mode(), counter:
            module(*inputs)
        counted[declaration.name] = counter.get_total_flops() // 2
    return counted


def test_multiply_adds_are_those_that_pytorch_counts(by_pytorch, float_bundle_path):
    found = {name: info.multiply_adds for name, info in read_manifest(float_bundle_path).subgraphs.items()}
    assert found == by_pytorch
    assert found["g_a"] > 20 * found["h_a"] > 0


def test_parameters_are_the_model_s(checkpoint, float_bundle_path):
    found = {name: info.parameters for name, info in read_manifest(float_bundle_path).subgraphs.items()}
    model = checkpoint.model
    expected = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("g_a", "h_a", "h_s")}
    assert {name: found[name] for name in expected} == expected
    assert found["g_a_h_a"] == found["g_a"] + found["h_a"]


def test_all_shapes_of_a_model_cost_the_same_per_pixel(bundle_path, dynamic_path):
    """Open dimensions are counted at their largest."""

    def per_pixel(path):
        manifest = read_manifest(path)
        return {n: i.multiply_adds / manifest.extent(n).max.pixels for n, i in manifest.subgraphs.items()}

    static, dynamic = per_pixel(bundle_path), per_pixel(dynamic_path)
    assert {name: dynamic[name] for name in static} == static
    assert dynamic["g_s_0"] + dynamic["g_s_1"] == pytest.approx(dynamic["g_s"])


def test_one_graph_end_to_end_costs_what_its_parts_do(no_entropy_path, float_bundle_path):
    """And what likelihoods take besides: the entropy bottleneck's networks."""
    whole, parts = read_manifest(no_entropy_path), read_manifest(float_bundle_path)
    info = whole.subgraphs["no_entropy"]
    transforms = sum(
        parts.subgraphs[name].multiply_adds / parts.extent(name).max.pixels for name in ("g_a_h_a", "h_s", "g_s")
    )
    assert info.multiply_adds / whole.encoder.max.pixels > transforms
    assert info.parameters > sum(parts.subgraphs[name].parameters for name in ("g_a_h_a", "h_s", "g_s"))


def test_layers_in_int8_cost_what_they_cost_before(bundle_path):
    """Their weights and biases come through DequantizeLinear, whose scales are no parameters."""
    before = onnx.load(bundle_path / "g_a.onnx")
    ranges = {layer.name: LayerRange((-1.0, 1.0), (-1.0, 1.0)) for layer in layers_of("g_a", before)}
    after = to_int8("g_a", before, ranges)
    assert any(node.op_type == "DequantizeLinear" for node in after.graph.node)
    shapes = {"x": (1, 3, 128, 192)}
    assert graph_cost(after, shapes) == graph_cost(before, shapes)


def test_a_batch_counts_as_one_image(checkpoint, tmp_path):
    """In the manifest, of a graph for four images."""
    model = model_info(checkpoint.model.spec)
    declared = subgraphs(model)["h_a"]
    made = graph(
        [helper.make_node("Conv", ["y", "w"], ["z"], strides=[4, 4], pads=[1, 1, 0, 0])],
        {"y": [4, model.M, 8, 12]},
        {"z": [4, model.N, 2, 3]},
        {"w": (model.N, model.M, 5, 5)},
    )
    config = ExportConfig.model_validate({"form": "static", "shape": {"height": 128, "width": 192}, "batch": 4})
    exported = Exported("h_a", made, declared.inputs, declared.outputs)
    info = write_graph(exported, tmp_path, config, Extent.one(128, 192))
    assert info.multiply_adds == model.N * model.M * 25 * 2 * 3
    assert info.parameters == model.N * model.M * 25
