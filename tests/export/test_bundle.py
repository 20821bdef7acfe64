import dataclasses
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import onnxsim
import pytest
import torch
from elic_export.bundle import compiled_targets, declare, export_bundle
from elic_export.errors import ExportError, OperatorError
from elic_export.exact.calibration import Calibration
from elic_export.exact.deployment import deploy_exact, deploy_float, fingerprint
from elic_export.onnx_file import export_graph
from elic_export.parity.measure import measure
from elic_export.passes.operators import STATIC_FORBIDDEN
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_models import load_checkpoint
from elic_runtime.bundle import Bundle
from elic_runtime.images import write_image
from elic_runtime.shapes import Extent
from elic_runtime.tables import read_tables

NAMES = {"g_a", "h_a", "g_a_h_a", "h_s", "g_s"} | {
    f"context_{k}_{half}" for k in range(5) for half in ("anchor", "nonanchor")
}


def export_one(deployment, config, name):
    (graph,) = (graph for graph in declare(deployment.model.spec, config) if graph.name == name)
    (exported,) = export_graph(graph, deployment, config, config.shape)
    return exported.graph


def test_the_manifest_states_what_design_md_names(bundle_path):
    manifest = Bundle(bundle_path).manifest
    assert manifest.subgraphs.keys() == NAMES
    h, w = "height_16", "width_16"

    def shapes(name):
        info = manifest.subgraphs[name]
        return {t.name: t.shape for t in info.inputs}, {t.name: t.shape for t in info.outputs}

    packed = (1, 8, h, "width_32")
    assert shapes("g_a_h_a") == ({"x": (1, 3, 128, 192)}, {"y": (1, 24, 8, 12), "z": (1, 16, 2, 3)})
    assert shapes("h_a") == ({"y": (1, 24, h, w)}, {"z": (1, 16, "height_64", "width_64")})
    assert manifest.cpu == Extent.model_validate(
        {"min": {"height": 64, "width": 64}, "max": {"height": 1024, "width": 1024}}
    )
    latents = {"latent_means": (1, 24, h, w), "latent_scales": (1, 24, h, w)}
    assert shapes("h_s") == ({"z_hat": (1, 16, "height_64", "width_64")}, latents)
    assert shapes("context_4_anchor") == (
        latents | {"y_hat_0": (1, 4, h, w), "y_hat_3": (1, 4, h, w)},
        {"means": packed, "scales": packed, "support": (1, 48, h, "width_32")},
    )
    assert shapes("context_4_nonanchor") == (
        {"y_hat_anchor": packed, "support": (1, 48, h, "width_32")},
        {"means": packed, "scales": packed},
    )


def test_graphs_hold_nothing_that_npu_compilers_refuse(bundle_path):
    manifest = Bundle(bundle_path).manifest
    for info in manifest.subgraphs.values():
        graph = onnx.load(bundle_path / info.file)
        onnx.checker.check_model(graph, full_check=True)
        assert {node.domain for node in graph.graph.node} == {""}
        operators = {node.op_type for node in graph.graph.node}
        assert operators == info.operators.keys()
        assert not operators & STATIC_FORBIDDEN
        assert [o.version for o in graph.opset_import if o.domain == ""] == [17]


def test_each_position_goes_through_a_parameter_net_once(deployment, config, tmp_path):
    """Multiply-accumulates of the 1x1 layers of slice 4: what the packed passes need, no more."""
    bundle_path = tmp_path / "bundle"
    export_bundle(deployment, config.model_copy(update={"cpu_shape": config.shape}), bundle_path)
    positions = 8 * 12
    layers = {"anchor": [], "nonanchor": []}
    for half, found in layers.items():
        graph = onnx.shape_inference.infer_shapes(onnx.load(bundle_path / f"context_4_{half}.onnx"))
        weights = {t.name: t.dims for t in graph.graph.initializer}
        sizes = {v.name: v.type.tensor_type.shape.dim for v in [*graph.graph.value_info, *graph.graph.output]}
        for node in graph.graph.node:
            if node.op_type == "Conv" and list(weights[node.input[1]][2:]) == [1, 1]:
                rows, columns = (d.dim_value for d in sizes[node.output[0]][2:])
                found.append((tuple(weights[node.input[1]][:2]), rows * columns))
    last = [((512, 48), positions // 2), ((16, 512), positions // 2)]
    assert layers["anchor"] == [((48, 64), positions), *last]
    assert layers["nonanchor"] == [((48, 16), positions // 2), *last]


@pytest.mark.parametrize("opset", [11, 20])
def test_opsets_at_both_ends_pass_parity(checkpoint, deployment, config, tmp_path, cat, opset):
    small = config.model_copy(update={"opset": opset, "shape": Extent.one(64, 128)})
    export_bundle(deployment, small, tmp_path / "bundle")
    write_image(tmp_path / "cat.png", cat[100:164, 150:278])
    limits = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "fp32", "exact")
    report = measure(deployment, Bundle(tmp_path / "bundle"), [tmp_path / "cat.png"], limits)
    assert report.passed, [f for f in report.findings if not f.passed]


def test_exporting_twice_gives_the_same_bytes(float_deployment, config):
    graphs = (export_one(float_deployment, config, "context_1_anchor") for _ in "ab")
    first, second = (graph.SerializeToString(deterministic=True) for graph in graphs)
    assert first == second


def test_stored_tables_are_the_models(bundle_path, deployment):
    stored = read_tables(bundle_path / "entropy_tables.npz")
    for name, array in deployment.tables.arrays().items():
        assert (stored.arrays()[name] == array).all(), name


@pytest.mark.parametrize("arithmetic", ["exact", "float"])
def test_the_fingerprint_covers_what_decides_symbols_only(checkpoint, calibration, arithmetic):
    def of(loaded):
        return fingerprint(deploy_exact(loaded, calibration) if arithmetic == "exact" else deploy_float(loaded))

    original = of(checkpoint)
    other = load_checkpoint(checkpoint.path)
    assert of(other) == original
    with torch.no_grad():
        other.model.g_s[1].bias[0] += 1
    assert of(other) == original
    with torch.no_grad():
        other.model.contexts[3].aggregation[0].bias[0] += 0.01
    assert of(other) != original


def test_the_fingerprint_tells_arithmetics_and_calibrations_apart(
    checkpoint, calibration, deployment, float_deployment
):
    wider = Calibration({name: peaks * (1.25 if name == "h_s.1" else 1) for name, peaks in calibration.peaks.items()})
    fingerprints = {fingerprint(d) for d in (deployment, float_deployment, deploy_exact(checkpoint, wider))}
    assert len(fingerprints) == 3


def test_a_forbidden_operator_names_its_node_and_leaves_nothing(checkpoint, deployment, config, tmp_path):
    strict = config.model_copy(update={"allowed_operators": frozenset({"Conv", "Relu"})})
    with pytest.raises(OperatorError, match=r"g_a: node '.*' is \w+, which allowed_operators does not list"):
        export_bundle(deployment, strict, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_export_keeps_the_earlier_bundle(checkpoint, deployment, config, bundle_path, tmp_path):
    shutil.copytree(bundle_path, tmp_path / "bundle")
    strict = config.model_copy(update={"allowed_operators": frozenset()})
    with pytest.raises(OperatorError):
        export_bundle(deployment, strict, tmp_path / "bundle")
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert Bundle(tmp_path / "bundle").graph_path("g_s").is_file()


def test_other_folders_are_not_replaced(checkpoint, deployment, config, bundle_path, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for manifest in (None, '{"name": "a web app"}', (bundle_path / "manifest.json").read_text()):
        if manifest is not None:
            (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(ExportError, match=r"is not (just )?a bundle"):
            export_bundle(deployment, config, tmp_path)
        assert (tmp_path / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ExportError, match="is not a bundle"):
        export_bundle(deployment, config, tmp_path / "thesis.txt")


def test_what_a_compiler_made_of_earlier_graphs_is_named(checkpoint, deployment, config, bundle_path, tmp_path):
    """By tool. It does not stop the next export, which replaces it."""
    copied = shutil.copytree(bundle_path, tmp_path / "bundle")
    shutil.rmtree(copied / "targets/trtexec/engines", ignore_errors=True)  # tests of the scripts have made it
    for engine in (copied / "targets/trtexec/engines/g_s.engine", copied / "targets/mnn/models/g_s.mnn"):
        engine.parent.mkdir(parents=True)
        engine.write_bytes(b"of earlier graphs")
    assert compiled_targets(copied) == ("mnn", "trtexec")
    export_bundle(deployment, config, copied)
    assert compiled_targets(copied) == ()
    assert not engine.exists()


def test_an_earlier_bundle_is_replaced(checkpoint, deployment, config, bundle_path, tmp_path):
    shutil.copytree(bundle_path, tmp_path / "bundle")
    (tmp_path / "bundle/parity.json").write_text("{}")
    small = config.model_copy(update={"shape": Extent.one(64, 64)})
    export_bundle(deployment, small, tmp_path / "bundle")
    assert str(Bundle(tmp_path / "bundle").manifest.encoder) == "64x64"
    assert not (tmp_path / "bundle/parity.json").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


REPLACING = """
import os, signal, sys
from pathlib import Path
from elic_export.replacing import replaced

renamed, at = [], int(sys.argv[2])
rename = Path.rename

def rename_and_die(self, target):
    if len(renamed) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    renamed.append(target)
    return rename(self, target)

Path.rename = rename_and_die
with replaced(Path(sys.argv[1]), lambda folder: None) as partial:
    (partial / "new").write_text("half of a bundle")
    if at < 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("at", [-1, 0, 1], ids=["while it is filled", "before the old one moves", "between both moves"])
def test_a_kill_loses_no_bundle(deployment, config, bundle_path, tmp_path, at):
    """Whatever is the moment, an export that follows finds the earlier bundle, and clears the remains away."""
    bundle = tmp_path / "bundle"
    shutil.copytree(bundle_path, bundle)
    killed = subprocess.run([sys.executable, "-c", REPLACING, bundle, str(at)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) > 1
    assert bundle.exists() is (at < 1)
    with pytest.raises(OperatorError):
        export_bundle(deployment, config.model_copy(update={"allowed_operators": frozenset()}), bundle)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert Bundle(bundle).graph_path("g_s").is_file()


def test_two_exports_do_not_write_one_folder(deployment, config, tmp_path):
    def another(graphs):
        with pytest.raises(ExportError, match="another export or compilation is writing it"):
            export_bundle(deployment, config, tmp_path / "bundle")
        return graphs

    export_bundle(deployment, config, tmp_path / "bundle", progress=another)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_bundle_of_an_earlier_format_is_replaced(deployment, config, bundle_path, tmp_path):
    """Its targets were paths. That it may be replaced is known before the export fails."""
    copied = shutil.copytree(bundle_path, tmp_path / "bundle")
    content = json.loads((copied / "manifest.json").read_text())
    content |= {"format_version": 3, "targets": [target["file"] for target in content["targets"]]}
    (copied / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(OperatorError):
        export_bundle(deployment, config.model_copy(update={"allowed_operators": frozenset()}), copied)


@pytest.mark.parametrize("asked", ["exact", "float"])
def test_a_deployment_in_another_arithmetic_than_the_configs_is_refused(
    checkpoint, float_deployment, config, tmp_path, asked
):
    """The manifest would promise files that decode everywhere, or that they do not."""
    made = float_deployment if asked == "exact" else dataclasses.replace(float_deployment, arithmetic="exact")
    with pytest.raises(ExportError, match=f"the config asks for {asked} arithmetic, the deployment is in"):
        export_bundle(made, config.model_copy(update={"arithmetic": asked}), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_names_the_checkpoint_that_was_deployed(bundle_path, deployment, float_deployment, checkpoint):
    named = Bundle(bundle_path).manifest.checkpoint
    assert (named.name, named.sha256) == (checkpoint.path.name, checkpoint.sha256)
    assert deployment.checkpoint is float_deployment.checkpoint is checkpoint


def test_stored_tables_that_cannot_code_are_not_exported(checkpoint):
    broken = load_checkpoint(checkpoint.path)
    broken.model.gaussian_conditional._quantized_cdf.zero_()
    with pytest.raises(ExportError, match="cannot code: entropy tables: row 0 of y is not a distribution"):
        deploy_float(broken)


def spoil_simplification(monkeypatch, by):
    """What a wrong simplification would do, made certain: the last bias of the graph differs."""
    simplify = onnxsim.simplify

    def spoil(graph):
        simplified, same = simplify(graph)
        biases = [t for t in simplified.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 1]
        bias = biases[-1]
        array = onnx.numpy_helper.to_array(bias) + np.float32(by)
        bias.CopyFrom(onnx.numpy_helper.from_array(array, bias.name))
        return simplified, same

    monkeypatch.setattr(onnxsim, "simplify", spoil)


def test_a_graph_that_computes_something_else_is_not_exported(float_deployment, config, monkeypatch):
    spoil_simplification(monkeypatch, 0.5)
    with pytest.raises(ExportError, match="h_a: z is off PyTorch's by"):
        export_one(float_deployment, config, "h_a")


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_what_decides_symbols_is_held_to_fp32_in_mixed_precision_too(float_deployment, config, monkeypatch, precision):
    """It is in fp32 there: what fp16 rounds is no excuse for it."""
    spoil_simplification(monkeypatch, 0.02)
    mixed = config.model_copy(update={"precision": precision, "arithmetic": "float"})
    with pytest.raises(ExportError, match=r"context_1_nonanchor: .* is off PyTorch's by"):
        export_one(float_deployment, mixed, "context_1_nonanchor")
