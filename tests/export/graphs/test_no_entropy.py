"""The end-to-end graph against PyTorch, and `elic eval` on it."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from elic_export.bundle import export_bundle
from elic_export.cli import app as export_app
from elic_export.config import ExportConfig
from elic_export.exact.deployment import deploy_float
from elic_export.parity.measure import measure
from elic_export.parity.report import Report
from elic_export.passes.cut import rename_tensors
from elic_export.passes.operators import STATIC_FORBIDDEN
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime import BundleError
from elic_runtime.bundle import Bundle
from elic_runtime.codec import Codec
from elic_runtime.commands.cli import app
from elic_runtime.files import sha256_file
from elic_runtime.images import write_image
from elic_runtime.manifest_file import seal
from elic_runtime.metrics import bits
from elic_runtime.pixels import to_input
from elic_runtime.runners import load_runner, onnxruntime_factory
from elic_runtime.shapes import Extent
from measured import points_of
from typer.testing import CliRunner

LIMITS = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "fp32", "float")


def no_entropy(height, width, **more):
    return ExportConfig.model_validate(
        {"form": "no-entropy", "shape": {"height": height, "width": width}, "arithmetic": "float"} | more
    )


@pytest.fixture
def photos_of_cats(cat, tmp_path):
    """One that is taken as it is, one that is padded, one in tiles."""
    for name, crop in {"whole": cat[40:296, 80:400], "padded": cat[:150, :250], "tiled": cat}.items():
        write_image(tmp_path / "photos" / f"{name}.png", crop)
    return tmp_path / "photos"


@torch.inference_mode()
def pytorch(model, image):
    """PSNR and bpp of PyTorch's forward over an image of whole 64s."""
    out = model(torch.from_numpy(to_input(image)))
    picture = (out["x_hat"].clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()
    mse = ((picture.astype(float) - image) ** 2).mean()
    size = -sum(float(p.double().log2().sum()) for p in out["likelihoods"].values())
    return 10 * np.log10(255**2 / mse), size / image[..., 0].size


@pytest.mark.slow
def test_picture_and_rate_are_pytorchs(trained_checkpoint, cat, tmp_path):
    checkpoint, no_entropy_path = trained_checkpoint, tmp_path / "bundle"
    config = ExportConfig(form="no-entropy", shape=Extent.one(256, 320), arithmetic="float")
    export_bundle(deploy_float(trained_checkpoint), config, no_entropy_path)
    image = cat[40:296, 80:400]
    write_image(tmp_path / "cat.png", image)
    (result,) = points_of(no_entropy_path, tmp_path / "cat.png")
    psnr_db, bpp = pytorch(checkpoint.model, image)
    assert result.psnr_db == pytest.approx(psnr_db, abs=0.005)
    assert result.bpp == pytest.approx(bpp, rel=2e-4)
    assert 0.2 < bpp < 1


def test_parity_of_a_dynamic_graph(checkpoint, float_deployment, no_entropy_path, photos_of_cats):
    images = sorted(photos_of_cats.iterdir())
    report = measure(float_deployment, Bundle(no_entropy_path), images, LIMITS)
    assert report.passed, [f for f in report.findings if not f.passed]
    assert [e.image for e in report.end_to_end] == ["padded.png", "tiled.png", "whole.png"]
    assert {f.question for f in report.findings} == {
        "pictures: PSNR off PyTorch's, dB",
        "rate: bits off PyTorch's",
        "rate: correlation off 1",
        "likelihoods: 1e-9 less the smallest",
    }


def test_likelihoods_in_another_place_fail(checkpoint, float_deployment, no_entropy_path, photos_of_cats, tmp_path):
    """Their sum is the same, and so is the picture."""
    copied = shutil.copytree(no_entropy_path, tmp_path / "turned")
    graph = onnx.load(copied / "no_entropy.onnx")
    rename_tensors(graph, {"y_likelihoods": "before"})
    graph.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array([value]), name)
        for name, value in {"starts": -1, "ends": -(2**31), "axes": 1, "steps": -1}.items()
    )
    turn = onnx.helper.make_node("Slice", ["before", "starts", "ends", "axes", "steps"], ["y_likelihoods"], "turn")
    graph.graph.node.append(turn)
    graph.graph.output[1].name = "y_likelihoods"
    onnx.save(graph, copied / "no_entropy.onnx")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["subgraphs"]["no_entropy"]["sha256"] = sha256_file(copied / "no_entropy.onnx")
    (copied / "manifest.json").write_text(json.dumps(seal(manifest)))
    images = [photos_of_cats / "whole.png"]
    report = measure(float_deployment, Bundle(copied), images, LIMITS)
    assert [f.question for f in report.findings if not f.passed] == ["rate: correlation off 1"]


def test_a_nan_makes_no_report_that_cannot_be_read(checkpoint, no_entropy_path, photos_of_cats, tmp_path):
    """Likelihoods that are none: the verdicts fail, on the terminal, in the page, and in JSON that is JSON."""
    copied = shutil.copytree(no_entropy_path, tmp_path / "spoiled")
    graph = onnx.load(copied / "no_entropy.onnx")
    rename_tensors(graph, {"z_likelihoods": "before"})
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "nan"))
    graph.graph.node.append(onnx.helper.make_node("Mul", ["before", "nan"], ["z_likelihoods"], "spoil"))
    graph.graph.output[2].name = "z_likelihoods"
    onnx.save(graph, copied / "no_entropy.onnx")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["subgraphs"]["no_entropy"]["sha256"] = sha256_file(copied / "no_entropy.onnx")
    (copied / "manifest.json").write_text(json.dumps(seal(manifest)))
    command = [
        "parity",
        str(copied),
        "--images",
        str(photos_of_cats / "whole.png"),
        "--checkpoint",
        str(checkpoint.path),
    ]
    run = CliRunner().invoke(export_app, [*command, "--json"])
    assert run.exit_code == 1, run.output
    texts = run.stdout, (copied / "parity.json").read_text()
    printed, written = (json.loads(text, parse_constant=pytest.fail) for text in texts)
    assert printed == written
    reports = [Report.model_validate_json(text) for text in texts]
    assert repr(reports[0]) == repr(reports[1])
    measured = {f.question: f.measured for f in reports[0].findings if not f.passed}
    assert measured.keys() == {
        "rate: bits off PyTorch's",
        "rate: correlation off 1",
        "likelihoods: 1e-9 less the smallest",
    }
    assert all(map(math.isnan, measured.values()))
    assert "<td>nan<td>" in (copied / "parity.html").read_text()
    run = CliRunner().invoke(export_app, command)
    assert sum("nan" in line and "FAIL" in line for line in run.stdout.splitlines()) == 3


def test_the_graph_holds_nothing_that_npu_compilers_refuse(no_entropy_path):
    info = Bundle(no_entropy_path).manifest.subgraphs["no_entropy"]
    operators = {node.op_type for node in onnx.load(no_entropy_path / info.file).graph.node}
    assert operators == info.operators.keys()
    assert not operators & (
        STATIC_FORBIDDEN | {"Erf", "ConstantOfShape", "Range", "Expand", "Transpose"} - {"Transpose"}
    )
    assert [t.name for t in info.inputs] == ["input"]
    assert [t.name for t in info.outputs] == ["x_hat", "y_likelihoods", "z_likelihoods"]


@pytest.mark.parametrize("opset", [11, 20])
def test_a_static_graph_in_exact_arithmetic(checkpoint, deployment, cat, tmp_path, opset):
    """The rate is that of the exact bundle's context model; graphs of both ends of opsets."""
    config = no_entropy(64, 128, arithmetic="exact", opset=opset)
    manifest = export_bundle(deployment, config, tmp_path / "bundle")
    assert "Transpose" not in manifest.subgraphs["no_entropy"].operators
    write_image(tmp_path / "cat.png", cat[100:164, 150:278])
    limits = read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", "fp32", "exact")
    report = measure(deployment, Bundle(tmp_path / "bundle"), [tmp_path / "cat.png"], limits)
    assert report.passed, [f for f in report.findings if not f.passed]


def test_the_picture_alone(checkpoint, float_deployment, cat, tmp_path):
    config = no_entropy(64, 128, likelihoods=False, rename={"input": "images", "x_hat": "decoded"})
    manifest = export_bundle(float_deployment, config, tmp_path / "bundle")
    info = manifest.subgraphs["no_entropy"]
    assert ([t.name for t in info.inputs], [t.name for t in info.outputs]) == (["images"], ["decoded"])
    assert not {"Exp", "Tanh", "Sign"} & info.operators.keys()
    write_image(tmp_path / "cat.png", cat[100:164, 150:278])
    (result,) = points_of(tmp_path / "bundle", tmp_path / "cat.png")
    assert result.bpp is None
    assert result.psnr_db == pytest.approx(pytorch(checkpoint.model, cat[100:164, 150:278])[0], abs=0.01)


def test_padding_is_at_the_bottom_right_or_around(no_entropy_path, cat, tmp_path):
    """Both conventions, made by hand: the image continued by its border, the rate per pixel of the image."""
    image = cat[:100, :150]
    write_image(tmp_path / "cat.png", image)
    run = load_runner(Bundle(no_entropy_path), onnxruntime_factory(), "no_entropy")
    for padding, sides in {"bottom-right": ((0, 28), (0, 42)), "centre": ((14, 14), (21, 21))}.items():
        outputs = run({"input": to_input(np.pad(image, (*sides, (0, 0)), mode="edge"))})
        rate = (bits(outputs["y_likelihoods"]) + bits(outputs["z_likelihoods"])) / image[..., 0].size
        top, left = sides[0][0], sides[1][0]
        picture = outputs["x_hat"][0, :, top : top + 100, left : left + 150].clip(0, 1).transpose(1, 2, 0)
        mse = ((np.rint(picture * np.float32(255)) - image) ** 2).mean()
        (found,) = points_of(no_entropy_path, tmp_path / "cat.png", padding=padding)
        assert found.bpp == pytest.approx(rate, rel=1e-9)
        assert found.psnr_db == pytest.approx(10 * np.log10(255**2 / mse), abs=1e-6)


def test_eval_of_a_folder(no_entropy_path, bundle_path, photos_of_cats):
    run = CliRunner().invoke(app, ["eval", "--bundle", str(no_entropy_path), "--images", str(photos_of_cats), "--json"])
    assert run.exit_code == 0, run.output
    facts = json.loads(run.stdout)
    assert [image["image"] for image in facts["images"]] == ["padded.png", "tiled.png", "whole.png"]
    (mean,) = facts["curves"][0]["points"]
    for key in ("psnr_db", "bpp"):
        assert mean[key] == pytest.approx(np.mean([image["points"][0][key] for image in facts["images"]]))
    run = CliRunner().invoke(app, ["eval", "--bundle", str(no_entropy_path), "--images", str(photos_of_cats)])
    assert run.stdout.splitlines()[-1].split() == [
        "mean",
        "1",
        f"{mean['psnr_db']:.2f}",
        f"{mean['bpp']:.4f}",
    ]


def test_eval_of_a_codec_is_of_its_real_files(codec, bundle_path, cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[:120, :180])
    (point,) = points_of(bundle_path, tmp_path / "cat.png")
    assert point.bytes == len(codec.compress(cat[:120, :180]))
    assert point.bpp == 8 * len(codec.compress(cat[:120, :180])) / (120 * 180)
    with pytest.raises(BundleError, match="padded at the bottom right only"):
        points_of(bundle_path, tmp_path / "cat.png", padding="centre")


def test_eval_at_several_steps(codec, bundle_path, no_entropy_path, cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[:120, :180])
    command = ["eval", "--bundle", str(bundle_path), "--images", str(tmp_path / "cat.png")]
    run = CliRunner().invoke(app, [*command, "--steps", "2,1,0.5", "--json"])
    assert run.exit_code == 0, run.output
    facts = json.loads(run.stdout)
    assert [mean["step"] for mean in facts["curves"][0]["points"]] == [2, 1, 0.5]
    sizes = [len(codec.compress(cat[:120, :180], step=step)) for step in (2, 1, 0.5)]
    assert [point["bpp"] for point in facts["images"][0]["points"]] == [8 * size / (120 * 180) for size in sizes]
    for steps, said in (("2;1", "it must be numbers with commas"), ("1,9", "step=9.0: it must be from 0.5 to 4")):
        run = subprocess.run(
            [sys.executable, "-m", "elic_runtime", *command, "--steps", steps],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 2
        assert said in run.stderr
    with pytest.raises(BundleError, match="a no-entropy graph has one step, its config's"):
        points_of(no_entropy_path, tmp_path / "cat.png", steps=(2,))


@pytest.mark.parametrize("arithmetic", ["float", "exact"])
def test_a_graph_of_another_step_is_pytorchs(deployment, float_deployment, bundle_path, cat, tmp_path, arithmetic):
    """Its picture and its rate are; and in exact arithmetic, the picture is that of files of this step."""
    model = deployment if arithmetic == "exact" else float_deployment
    config = ExportConfig(form="no-entropy", shape=Extent.one(128, 192), arithmetic=arithmetic, step=1.5)
    export_bundle(model, config, tmp_path / "bundle")
    bundle, image = Bundle(tmp_path / "bundle"), tmp_path / "cat.png"
    assert bundle.manifest.step == 1.5
    write_image(image, cat[100:228, 150:342])
    report = measure(model, bundle, [image], LIMITS)
    assert report.passed, [finding for finding in report.findings if not finding.passed]
    (found,) = points_of(bundle.folder, image)
    assert found.step == 1.5
    if arithmetic == "exact":
        (of_files,) = points_of(bundle_path, image, steps=(1.5,))
        (of_others,) = points_of(bundle_path, image, steps=(1.0,))
        assert found.psnr_db == pytest.approx(of_files.psnr_db, abs=1e-4)
        assert abs(found.psnr_db - of_others.psnr_db) > 1e-3


def test_bad_input_to_eval(no_entropy_path, tmp_path):
    for arguments, message in [
        (["--images", str(tmp_path / "no.png")], "no.png"),
        (["--images", str(Path(__file__))], "no image"),
    ]:
        command = [sys.executable, "-m", "elic_runtime", "eval", "--bundle", str(no_entropy_path), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert message in run.stderr
        assert run.stderr.count("\n") == 1


def test_it_is_no_codec(no_entropy_path):
    with pytest.raises(BundleError, match="this no-entropy bundle was exported without h_s"):
        Codec.load(no_entropy_path)


def test_an_unknown_padding_is_one_line(no_entropy_path, tmp_path):
    command = ["eval", "--bundle", no_entropy_path, "--images", tmp_path, "--padding", "left"]
    done = subprocess.run(
        [sys.executable, "-m", "elic_runtime", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'left' is not one of 'bottom-right', 'centre'" in done.stderr
    assert done.stderr.count("\n") == 1
