"""Layers in int8: which they are, where they round, and what ONNX Runtime makes of them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from elic_export.errors import ExportError
from elic_export.passes.exported import load_graph
from elic_export.passes.int8 import SHARES, LayerRange, layers_of, multiply_adds, observe, to_int8
from elic_runtime.pixels import to_input
from onnx import numpy_helper
from torch import nn


@pytest.fixture(scope="module")
def graphs(bundle_path, float_bundle_path, dynamic_path, no_entropy_path):
    """Every graph with transforms, by name."""
    folders = {"g_a": bundle_path, "h_a": bundle_path, "g_a_h_a": bundle_path, "g_s": bundle_path}
    folders |= {"g_s_0": dynamic_path, "g_s_1": dynamic_path, "no_entropy": no_entropy_path}
    return {name: onnx.load(folder / f"{name}.onnx") for name, folder in folders.items()}


@pytest.fixture(scope="module")
def feeds(cat):
    """Crops of a photograph, as g_a takes them."""
    return [{"x": to_input(cat[row : row + 128, column : column + 192])} for row in (0, 100) for column in (0, 200)]


@pytest.fixture(scope="module")
def ranges(graphs, feeds):
    return observe("g_a", graphs["g_a"], feeds)


def convolutions(checkpoint, prefix):
    """Names of the modules, with those of the layers that a rewrite put around them."""
    found = (
        name
        for name, module in checkpoint.model.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and name.startswith(prefix)
    )
    return set(found)


def plain(names):
    """Without the name that `deconv_to_depth_to_space` adds."""
    return {name if name.count(".") != 2 else name.removesuffix(".conv") for name in names}


@pytest.mark.parametrize("transform", ["g_a", "h_a", "g_s"])
def test_layers_are_named_as_pytorch_names_them(graphs, checkpoint, transform):
    """In each graph that they are in."""
    wanted = convolutions(checkpoint, f"{transform}.")
    within = {
        "g_a": ("g_a", "g_a_h_a", "no_entropy"),
        "h_a": ("h_a", "g_a_h_a", "no_entropy"),
        "g_s": ("g_s", "no_entropy"),
    }
    for name in within[transform]:
        found = {layer.name for layer in layers_of(name, graphs[name]) if layer.name.startswith(f"{transform}.")}
        assert plain(found) == wanted, name
    halves = [{layer.name for layer in layers_of(name, graphs[name])} for name in ("g_s_0", "g_s_1")]
    assert not halves[0] & halves[1]
    assert plain(halves[0] | halves[1]) == convolutions(checkpoint, "g_s.")


def test_every_multiply_add_is_counted(graphs, checkpoint):
    """As PyTorch's shapes say: weights times positions, of the output, or of a transposed convolution's input."""
    import torch

    counted = {}

    def count(name):
        def hook(module, given, output):
            positions = (output if isinstance(module, nn.Conv2d) else given[0]).shape[2:].numel()
            counted[name] = module.weight.numel() * positions

        return hook

    hooks = [m.register_forward_hook(count(n)) for n, m in checkpoint.model.named_modules() if hasattr(m, "weight")]
    with torch.inference_mode():
        checkpoint.model.g_s(checkpoint.model.g_a(torch.zeros(1, 3, 128, 192)))
    for hook in hooks:
        hook.remove()
    assert multiply_adds("g_a", graphs["g_a"]) == {n: c for n, c in counted.items() if n.startswith("g_a.")}
    found = multiply_adds("g_s", graphs["g_s"])
    # A 5x5 kernel has 25 taps, and the four 3x3 ones that it becomes have 36, of which 11 are zeros.
    for name, number in found.items():
        layer = name if name in counted else name.removesuffix(".conv")
        assert number == pytest.approx(counted[layer] * (36 / 25 if layer != name else 1))


def test_only_the_chosen_layers_round(graphs, ranges):
    chosen = {name: ranges[name] for name in list(ranges)[2:6]}
    graph = to_int8("g_a", graphs["g_a"], chosen)
    onnx.checker.check_model(graph, full_check=True)
    layers = {layer.name: layer for layer in layers_of("g_a", graphs["g_a"])}
    nodes = {node.name: node for node in graph.graph.node}
    for name, layer in layers.items():
        source, weight, bias = nodes[layer.node].input
        assert weight.endswith("_rounded") == bias.endswith("_rounded") == (name in chosen)
        if name in chosen:
            assert source == f"{layer.source}_rounded"
    # Sums of residual blocks are read unrounded by the next sum, whoever else reads them rounded.
    results = {layers[name].result for name in chosen}
    for node in graph.graph.node:
        if node.op_type == "Add":
            for tensor in node.input:
                assert tensor.endswith("_rounded") == (tensor.removesuffix("_rounded") in results)


def test_weights_have_a_scale_per_channel_and_reach_it(graphs, ranges):
    graph = to_int8("g_a", graphs["g_a"], ranges)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    original = {tensor.name: numpy_helper.to_array(tensor) for tensor in graphs["g_a"].graph.initializer}
    integers = [name for name, values in weights.items() if values.dtype == np.int8 and values.ndim == 4]
    assert len(integers) == len(ranges)
    for name in integers:
        weight = name.removesuffix("_int8")
        peaks = np.abs(weights[name].astype(int)).max((1, 2, 3))
        assert (peaks == 127).all()
        back = weights[name] * weights[f"{weight}_scale"][:, None, None, None]
        assert np.abs(back - original[weight]).max() <= 0.501 * weights[f"{weight}_scale"].max()


def test_onnx_runtime_computes_them_in_8_bits(graphs, ranges, tmp_path):
    """It fuses what is around each of them; a layer whose surroundings it does not know stays in floating point."""
    path = tmp_path / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(to_int8("g_a", graphs["g_a"], ranges).SerializeToString(), options)
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert operators.count("QLinearConv") == len(ranges) > 60
    assert not {"Conv", "FusedConv"} & set(operators)


def test_the_error_is_that_of_8_bits(graphs, ranges, feeds):
    """All layers: a few percent of the range. None: nothing at all."""
    (expected,) = load_graph("g_a", graphs["g_a"])(feeds[0]).values()
    (found,) = load_graph("g_a", to_int8("g_a", graphs["g_a"], ranges))(feeds[0]).values()
    error = np.abs(found - expected).max() / np.ptp(expected)
    assert 1e-4 < error < 0.1
    (same,) = load_graph("g_a", to_int8("g_a", graphs["g_a"], {}))(feeds[0]).values()
    assert (same == expected).all()


def test_layers_of_another_graph_are_ignored(graphs, ranges):
    assert (
        to_int8("h_a", graphs["h_a"], ranges).SerializeToString()
        == to_int8("h_a", graphs["h_a"], {}).SerializeToString()
    )


def one_convolution(values, output="sum"):
    """A graph of one 1x1 convolution with such a weight, before an operator that gives the output."""
    weight = np.asarray(values, np.float32).reshape(-1, 1, 1, 1)
    info = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Conv", ["x", "0.weight"], ["conv"], "/0/Conv")]
    nodes += [onnx.helper.make_node("Neg", ["conv"], ["y"], "/1/Neg")] if output == "sum" else []
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [info("x", onnx.TensorProto.FLOAT, [1, 1, 8, 8])],
        [info("y" if output == "sum" else "conv", onnx.TensorProto.FLOAT, [1, len(weight), 8, 8])],
        [numpy_helper.from_array(weight, "0.weight")],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


def test_a_range_leaves_out_what_is_rare():
    """Two of three inputs stay below 1, so that a range of 1.6 is narrowed to the next share of it."""
    usual = np.random.default_rng(0).uniform(0, 1, (1, 1, 8, 8)).astype(np.float32)
    rare = np.full_like(usual, 1.6)
    graph = one_convolution([1.0])
    whole = observe("g_a", graph, [{"x": usual}] * 3)["g_a.0"].source
    assert whole == pytest.approx((0, usual.max()))
    narrowed = observe("g_a", graph, [{"x": usual}, {"x": rare}, {"x": usual}])["g_a.0"].source[1]
    assert narrowed == pytest.approx(1.6 * min(share for share in SHARES if 1.6 * share > 1))


def test_a_layer_that_gives_an_output_of_the_graph_stays_as_it_is():
    graph = one_convolution([1.0, 2.0], output="conv")
    assert layers_of("g_a", graph)[0].result is None
    assert observe("g_a", graph, [{"x": np.ones((1, 1, 8, 8), np.float32)}]) == {}
    assert [n.op_type for n in to_int8("g_a", graph, {"g_a.0": LayerRange((0, 1), (0, 1))}).graph.node] == ["Conv"]


def test_zeros_are_no_division_by_zero():
    """A channel of zeros, and a tensor of zeros."""
    graph, zeros = one_convolution([0.0, 3.0]), np.zeros((1, 1, 8, 8), np.float32)
    ranges = observe("g_a", graph, [{"x": zeros}])
    (found,) = load_graph("g_a", to_int8("g_a", graph, ranges))({"x": zeros}).values()
    assert (found == 0).all()


def test_no_photographs_and_values_that_are_not_finite_are_refused():
    graph = one_convolution([1.0])
    with pytest.raises(ExportError, match="int8 needs at least one photograph"):
        observe("g_a", graph, [])
    with pytest.raises(ExportError, match="g_a: computes values that are not finite"):
        observe("g_a", graph, [{"x": np.full((1, 1, 8, 8), np.inf, np.float32)}])
