"""Each rewrite by itself: exact, and refused where it cannot be."""

import copy
import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from elic_export.bundle import EXTERNAL_DATA_FROM, export_bundle
from elic_export.errors import ConfigError, ExportError
from elic_export.graphs.subpixel import SubpixelConv, SubpixelDeconv
from elic_export.passes.cut import cut_graph
from elic_export.passes.rewrites import REWRITES
from elic_runtime import BundleError, Codec
from elic_runtime.bundle import Bundle
from elic_runtime.manifest_file import seal
from elic_runtime.shapes import Extent
from torch import nn


def run(graph, **inputs):
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return session.run(None, inputs)[0]


@pytest.fixture(scope="module")
def y_hat():
    return (np.random.default_rng(0).normal(size=(1, 24, 8, 12)) * 3).astype(np.float32)


@pytest.fixture(scope="module")
def plain_path(checkpoint, deployment, config, tmp_path_factory):
    """A bundle without rewrites."""
    path = tmp_path_factory.mktemp("plain") / "bundle"
    export_bundle(deployment, config.model_copy(update={"rewrites": ()}), path)
    return path


@torch.inference_mode()
def test_depth_to_space_equals_the_deconvolution(checkpoint):
    """In float64: the same sums, so only their order may differ."""
    g_s = copy.deepcopy(checkpoint.model.g_s).double()
    rewritten = REWRITES["deconv_to_depth_to_space"].of_module(g_s).double()
    y_hat = torch.randn(1, 24, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    assert torch.allclose(rewritten(y_hat), g_s(y_hat), atol=1e-12)
    assert sum(isinstance(m, SubpixelDeconv) for m in rewritten.modules()) == 4
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in rewritten.modules())
    assert any(isinstance(m, nn.ConvTranspose2d) for m in g_s.modules()), "the model itself must stay as it is"


@torch.inference_mode()
def test_space_to_depth_equals_the_convolution(checkpoint):
    g_a = copy.deepcopy(checkpoint.model.g_a).double()
    rewritten = REWRITES["conv_to_space_to_depth"].of_module(g_a).double()
    x = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(rewritten(x), g_a(x), atol=1e-12)
    assert sum(isinstance(m, SubpixelConv) for m in rewritten.modules()) == 4
    assert not any(isinstance(m, nn.Conv2d) and m.stride == (2, 2) for m in rewritten.modules())


def test_output_padding_folds_into_pads(plain_path, y_hat):
    graph = onnx.load(plain_path / "g_s.onnx")
    before = run(graph, y_hat=y_hat)
    deconvs = [node for node in graph.graph.node if node.op_type == "ConvTranspose"]
    assert len(deconvs) == 4
    assert all(attributes(node)["output_padding"] == [1, 1] for node in deconvs)
    REWRITES["fold_output_padding"].of_graph(graph)
    assert all("output_padding" not in attributes(node) for node in deconvs)
    assert all(attributes(node)["pads"] == [2, 2, 1, 1] for node in deconvs)
    onnx.checker.check_model(graph, full_check=True)
    assert (run(graph, y_hat=y_hat) == before).all()


def attributes(node):
    return {a.name: list(a.ints) for a in node.attribute}


def test_output_padding_beyond_the_pads_stays():
    """There is nothing to cut off there."""
    node = onnx.helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_padding=[1, 1])
    weight = onnx.numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")
    values = [onnx.helper.make_tensor_value_info(n, 1, [1, 1, s, s]) for n, s in (("x", 4), ("y", 10))]
    graph = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", values[:1], values[1:], [weight]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    REWRITES["fold_output_padding"].of_graph(graph)
    assert attributes(graph.graph.node[0])["output_padding"] == [1, 1]


def test_h_s_folds_too_and_stays_exact(checkpoint, deployment, config, plain_path, tmp_path):
    folded = config.model_copy(update={"rewrites": ("fold_output_padding",)})
    manifest = export_bundle(deployment, folded, tmp_path / "bundle")
    for name in ("h_s", "g_s"):
        graph = onnx.load(tmp_path / "bundle" / f"{name}.onnx").graph
        deconvs = [attributes(node) for node in graph.node if node.op_type == "ConvTranspose"]
        assert deconvs
        assert all("output_padding" not in found for found in deconvs)
    plain = Bundle(plain_path).manifest
    assert manifest.fingerprint == plain.fingerprint
    assert manifest.conformance.digests == plain.conformance.digests


def test_a_merge_is_by_choice(bundle_path, plain_path, codec, cat):
    assert "g_a_h_a" in Bundle(bundle_path).manifest.subgraphs
    assert "g_a_h_a" not in Bundle(plain_path).manifest.subgraphs
    assert Codec.load(plain_path).decompress(codec.compress(cat[:100, :150])).shape == (100, 150, 3)


def test_every_node_at_which_g_s_can_be_cut(bundle_path, y_hat):
    """Between any two layers, and between the two parts of a rewritten deconvolution: the halves give the whole."""
    graph = onnx.load(bundle_path / "g_s.onnx")
    whole = run(graph, y_hat=y_hat)
    cuts = {}
    for node in graph.graph.node:
        try:
            cuts[node.name] = cut_graph(graph, node.name, "features")
        except ExportError:
            continue
    assert {"/9/Add", "/13/Add", "/1/conv/Conv", "/1/shuffle/DepthToSpace"} <= cuts.keys()
    assert len(cuts) == 18
    for name in ("/9/Add", "/1/conv/Conv", "/13/Add"):
        first, second = cuts[name]
        assert [i.name for i in second.graph.input] == ["features"]
        second.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("features", 1, list("abcd")))
        first.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("features", 1, list("abcd")))
        halves = run(second, features=run(first, y_hat=y_hat))
        assert np.abs(halves - whole).max() < 1e-5


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("/9/Ad", "no node '/9/Ad' to cut the graph after: near it are /9/Add"),
        ("/9/conv2/Conv", "would go around it"),
        ("/14/shuffle/DepthToSpace", "nothing of the graph is left"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(checkpoint, deployment, config, tmp_path, node, message):
    cut = config.model_copy(
        update={
            "rewrites": ("split_g_s", "deconv_to_depth_to_space"),
            "split_g_s_after": node,
            "allowed_operators": None,
        }
    )
    with pytest.raises(ExportError, match=message):
        export_bundle(deployment, cut, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_other_names_and_external_data(checkpoint, deployment, config, codec, cat, tmp_path):
    changes = {"rename": {"x": "images", "y_hat": "latent", "x_hat": "decoded"}, "external_data": True}
    manifest = export_bundle(deployment, config.model_copy(update=changes), tmp_path / "bundle")
    for name in ("g_a", "g_a_h_a"):
        assert [t.name for t in manifest.subgraphs[name].inputs] == ["images"]
    graph = onnx.load(tmp_path / "bundle/g_s.onnx", load_external_data=False)
    assert [v.name for v in (*graph.graph.input, *graph.graph.output)] == ["latent", "decoded"]
    info = manifest.subgraphs["g_s"]
    assert [(t.name, t.role) for t in (*info.inputs, *info.outputs)] == [("latent", "y_hat"), ("decoded", "x_hat")]
    assert (tmp_path / "bundle" / info.external_data.file).stat().st_size > 100_000
    within = [t for t in graph.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    assert all(t.ByteSize() < 2 * EXTERNAL_DATA_FROM for t in within)
    image = cat[:120, :180]
    renamed = Codec.load(tmp_path / "bundle")
    assert renamed.compress(image) == codec.compress(image)
    assert (renamed.decompress(codec.compress(image)) == codec.decompress(codec.compress(image))).all()
    # An edited weight is noticed as an edited graph is, and a second export replaces both files.
    copied = shutil.copytree(tmp_path / "bundle", tmp_path / "copy")
    with (copied / info.external_data.file).open("r+b") as file:
        file.write(b"\x01")
    with pytest.raises(BundleError, match=r"g_s\.onnx\.data: changed since the export"):
        Codec.load(copied, encode=False)
    small = config.model_copy(update={"shape": Extent.one(64, 64)})
    export_bundle(deployment, small, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / info.external_data.file).exists()


def test_names_that_no_graph_has_or_that_are_taken(checkpoint, float_deployment, config, tmp_path):
    config = config.model_copy(update={"arithmetic": "float"})
    with pytest.raises(ConfigError, match="no graph of this export has a tensor called picture"):
        export_bundle(float_deployment, config.model_copy(update={"rename": {"picture": "x"}}), tmp_path / "bundle")
    with pytest.raises(ExportError, match="x cannot be renamed: the graph has another tensor called y"):
        export_bundle(float_deployment, config.model_copy(update={"rename": {"x": "y"}}), tmp_path / "bundle")


def test_a_manifest_without_the_external_file_is_refused(copy):
    content = json.loads((copy / "manifest.json").read_text())
    content["subgraphs"]["h_s"]["external_data"] = {"file": "h_s.onnx.data", "sha256": "0" * 64}
    (copy / "manifest.json").write_text(json.dumps(seal(content)))
    with pytest.raises(BundleError, match=r"h_s\.onnx\.data: missing"):
        Codec.load(copy)
