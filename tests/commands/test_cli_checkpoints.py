"""`--key` and `--variant` of every command that reads a checkpoint, on small seeded networks."""

import json

import pytest
import torch
from checkpoint_files import content
from elic_export.cli import app
from elic_models import load_checkpoint
from elic_runtime.images import write_image
from typer.testing import CliRunner

FLOAT = "form: {form}\nshape: {{height: 64, width: 128}}\narithmetic: float\n"


def elic_export(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def refused(run, *words):
    """Exit code 2 and one line on stderr that has these words."""
    assert run.exit_code == 2, run.output
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    for word in words:
        assert word in run.stderr
    return True


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A training run's file with two networks, and the folder that it lies in."""
    path = tmp_path_factory.mktemp("two") / "last.ckpt"
    params, averaged = (content("chandelier", salt=salt) for salt in ("", "ema"))
    torch.save({"params": params, "ema": {"state_dict": averaged, "decay": 0.999}, "epoch": 3}, path)
    return path


@pytest.fixture(scope="module")
def photo(two, cat):
    path = two.with_name("cat.png")
    write_image(path, cat[100:164, 100:228])
    return path


def config(two, form):
    path = two.with_name(f"{form}.yaml")
    path.write_text(FLOAT.format(form=form))
    return path


@pytest.fixture(scope="module")
def bundle(two):
    out = two.with_name("bundle")
    run = elic_export("static", "--config", config(two, "static"), "--checkpoint", two, "--key", "ema", "--out", out)
    assert run.exit_code == 0, run.output
    return out


def test_convert_takes_the_network_that_is_named(two, tmp_path):
    out = tmp_path / "elic.safetensors"
    assert refused(elic_export("convert", two, out), "more than one ELIC, under params, ema.state_dict", "--key")
    assert refused(elic_export("convert", two, out, "--key", "params_ema"), "no tensors under 'params_ema'")
    assert not out.exists()
    run = elic_export("convert", two, out, "--key", "ema", "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["variant"] == "chandelier"
    stored, wanted = load_checkpoint(out).model, load_checkpoint(two, key="ema.state_dict").model
    assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in stored.state_dict().items())


def test_convert_holds_a_checkpoint_against_the_variant_that_is_named(two, tmp_path):
    out = tmp_path / "elic.safetensors"
    convert = ("convert", two, out, "--key", "params", "--variant")
    assert refused(elic_export(*convert, "jiang"), "a chandelier ELIC, not the named jiang")
    assert refused(elic_export(*convert, "elic"), "unknown ELIC variant 'elic': known are chandelier, ")
    assert elic_export(*convert, "chandelier").exit_code == 0


def test_convert_names_the_variant_of_a_damaged_checkpoint(tmp_path):
    source = tmp_path / "model.pth"
    for variant in ("compressai-official", "compressai-chandelier"):
        tensors = content(variant)
        for key in ("latent_codec.hyper.h_a.0.weight", "latent_codec.y.latent_codec.y0.context_prediction.weight"):
            torch.save({name: value for name, value in tensors.items() if name != key}, source)
            run = elic_export("convert", source, tmp_path / "x.safetensors")
            assert refused(run, f"not a whole {variant} ELIC: 1 missing ({key})")


@pytest.mark.parametrize("form", ["static", "dynamic", "no-entropy"])
def test_every_form_reads_the_network_that_is_named(two, tmp_path, form):
    path = config(two, form)
    export = (form, "--config", path, "--checkpoint", two, "--out", tmp_path / "bundle")
    if form == "dynamic":
        size = "{height: 64, width: 64}"
        path.write_text(f"form: dynamic\nshape: {{min: {size}, max: {{height: 64, width: 128}}}}\narithmetic: float\n")
    assert refused(elic_export(*export), "more than one ELIC")
    assert refused(elic_export(*export, "--key", "none"), "no tensors under 'none'")
    assert refused(elic_export(*export, "--key", "ema", "--variant", "jiang"), "not the named jiang")
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_is_up_to_date_for_its_key_and_variant_alone(two, bundle, tmp_path):
    export = ("static", "--config", config(two, "static"), "--checkpoint", two, "--json", "--out")

    def up_to_date(out, *options):
        run = elic_export(*export, out, *options)
        assert run.exit_code == 0, run.output
        return json.loads(run.stdout)["up_to_date"]

    assert up_to_date(bundle, "--key", "ema")
    other = tmp_path / "bundle"
    assert not up_to_date(other, "--key", "params")
    assert up_to_date(other, "--key", "params")
    weights = [(path / "g_a.onnx").read_bytes() for path in (bundle, other)]
    assert weights[0] != weights[1]
    assert not up_to_date(other, "--key", "ema")
    assert (other / "g_a.onnx").read_bytes() == weights[0]
    assert not up_to_date(other, "--key", "ema", "--variant", "chandelier")


def test_parity_reads_the_network_that_is_named(two, bundle, photo):
    parity = ("parity", bundle, "--images", photo, "--checkpoint", two)
    assert refused(elic_export(*parity), "more than one ELIC")
    run = elic_export(*parity, "--key", "ema", "--variant", "chandelier")
    assert run.exit_code == 0, run.output
    assert refused(elic_export(*parity, "--key", "params"), "quantizes to other integers than those exported")
    assert refused(elic_export(*parity, "--key", "ema", "--variant", "jiang"), "not the named jiang")


@pytest.mark.slow
def test_bench_reads_the_network_that_is_named(two, bundle, photo):
    bench = ("bench", bundle, "--image", photo, "--checkpoint", two, "--rounds", "1")
    assert refused(elic_export(*bench), "more than one ELIC")
    run = elic_export(*bench, "--key", "ema.state_dict", "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["compress"]["best_seconds"]["pytorch"] > 0
    assert refused(elic_export(*bench, "--key", "ema", "--variant", "jiang"), "not the named jiang")
