"""How far graphs look: the numbers, what moves when an input moves, and windows with the whole image's integers."""

import numpy as np
import onnx
import pytest
from elic_export.errors import ExportError
from elic_export.passes.receptive_field import reach
from elic_runtime.bundle import Bundle
from elic_runtime.entries import Reach
from elic_runtime.runners import load_runner, onnxruntime_factory
from elic_runtime.subgraphs import decides_symbols, subgraphs

CONTEXT = [f"context_{k}_{half}" for k in range(5) for half in ("anchor", "nonanchor")]

MEASURED = ["g_a", "h_a", "h_s", *CONTEXT, "g_s"]

HEIGHT, WIDTH = 256, 320
"""The largest image of the dynamic bundle."""


def square(before, after):
    return Reach(top=before, bottom=after, left=before, right=after)


WANTED = {
    "g_a": square(132, 117),
    "h_a": square(112, 64),
    "h_s": square(64, 128),
    "context_0_anchor": square(0, 0),  # nothing is decoded yet
    **{f"context_{k}_anchor": square(96, 96) for k in range(1, 5)},
    **{f"context_{k}_nonanchor": square(32, 32) for k in range(5)},
    "g_s": square(128, 144),
}
"""Of 5x5 and 3x3 kernels, and of strides of 2, by hand: g_a's first layer alone sees 2 pixels, its last 66."""


@pytest.mark.parametrize("bundle", ["bundle_path", "dynamic_path", "float_bundle_path"])
def test_every_graph_has_its_receptive_field(request, bundle):
    """Whatever the form, the arithmetic and the shape, also of a graph that is smaller than its field."""
    infos = Bundle(request.getfixturevalue(bundle)).manifest.subgraphs
    assert {name: info.reach for name, info in infos.items() if name in WANTED} == WANTED
    assert {name for name, info in infos.items() if info.reach is None} == infos.keys() - WANTED.keys()


@pytest.fixture(scope="module")
def opened(dynamic_path):
    return Bundle(dynamic_path)


def tensors(opened, name, rng):
    """Random inputs of a graph, of the largest image: integers, where it takes integers."""
    declared = subgraphs(opened.manifest.model)[name]
    found = {}
    for tensor in opened.interface(name).inputs:
        down, across = strides(declared.inputs[tensor.role])
        values = rng.normal(size=(1, tensor.shape[1], HEIGHT // down, WIDTH // across)) * 8
        found[tensor.role] = np.rint(values).astype(np.float32) if decides_symbols(name) else values.astype(np.float32)
    return declared, found


def strides(tensor):
    return tensor.stride, tensor.stride * (1 + tensor.packed)


@pytest.mark.parametrize("name", MEASURED)
def test_nothing_beyond_it_moves(opened, name):
    """When one position of an input does. What moves is within the field, block by block of the largest stride."""
    rng = np.random.default_rng(0)
    run = load_runner(opened, onnxruntime_factory(threads=1), name)
    declared, given = tensors(opened, name, rng)
    before, field = run(given), WANTED[name]
    block = max(
        stride for tensor in (*declared.inputs.values(), *declared.outputs.values()) for stride in strides(tensor)
    )
    for role, values in given.items():
        down, across = strides(declared.inputs[role])
        row, column = values.shape[2] // 2, values.shape[3] // 2
        moved = values.copy()
        moved[:, :, row, column] += 50
        after = run(given | {role: moved})
        for output, expected in before.items():
            tall, wide = strides(declared.outputs[output])
            rows, columns = np.nonzero((after[output] != expected).any((0, 1)))
            if not len(rows):
                continue
            for places, pace, at, step, ends in (
                (rows, tall, row, down, (field.top, field.bottom)),
                (columns, wide, column, across, (field.left, field.right)),
            ):
                first, last = places.min() * pace // block * block, -(-(places.max() + 1) * pace // block) * block
                assert at * step + ends[0] >= last - block
                assert (at + 1) * step - ends[1] <= first + block


@pytest.mark.parametrize("name", ["h_s", *CONTEXT])
def test_a_window_with_it_around_gives_the_whole_s_integers(opened, name):
    """To the last bit. A window that is cut closer does not, where the graph looks around at all."""
    rng = np.random.default_rng(1)
    run = load_runner(opened, onnxruntime_factory(threads=1), name)
    declared, given = tensors(opened, name, rng)
    field, step = WANTED[name], 64 if name == "h_s" else 32
    core = (64, 128) if name == "h_s" else (96, 160)

    def window(margin_before, margin_after):
        start, stop = core[0] - margin_before, core[1] + margin_after
        cut = {}
        for role, values in given.items():
            down, across = strides(declared.inputs[role])
            cut[role] = np.ascontiguousarray(
                values[:, :, start // down : stop // down, start // across : stop // across]
            )
        return start, run(cut)

    whole = run(given)

    def same(margin_before, margin_after):
        start, found = window(margin_before, margin_after)
        for output, values in found.items():
            tall, wide = strides(declared.outputs[output])
            inner, outer = (
                (slice(None),) * 2
                + tuple(slice((core[0] - at) // pace, (core[1] - at) // pace) for pace in (tall, wide))
                for at in (start, 0)
            )
            if not np.array_equal(values[inner], whole[output][outer]):
                return False
        return True

    if step == 64:
        assert same(field.top, field.bottom)
        assert not same(field.top, field.bottom - 64)
    else:
        around = -(-field.top // step) * step
        assert same(around, around)
        if around:
            assert not same(around - step, around - step)


def test_an_operator_that_is_not_known_is_named():
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Softmax", ["x"], ["y"], "/0/Softmax", axis=3)],
        "g",
        [info("x", onnx.TensorProto.FLOAT, [1, 1, 8, 8])],
        [info("y", onnx.TensorProto.FLOAT, [1, 1, 8, 8])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(ExportError, match="g_a: node '/0/Softmax' is Softmax, whose receptive field is not known"):
        reach("g_a", model, {"x": (1, 1), "y": (1, 1)})
