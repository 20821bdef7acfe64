"""Both commands as a user meets them: exit codes, one line of error, nothing half-written."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from elic_export.cli import app as export_app
from elic_models import load_checkpoint
from elic_runtime.commands.cli import app
from elic_runtime.images import read_image, write_image
from safetensors.torch import load_file
from typer.testing import CliRunner


def elic(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def elic_export(*args):
    return CliRunner().invoke(export_app, [str(a) for a in args])


def refused(run, *words):
    """Exit code 2 and one line on stderr that has these words."""
    assert run.exit_code == 2, run.output
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    for word in words:
        assert word in run.stderr
    return True


@pytest.fixture
def photo(cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[:130, :200])
    return tmp_path / "cat.png"


@pytest.fixture
def coded(photo, bundle_path):
    out = photo.with_name("cat.elic")
    assert elic("compress", photo, out, "--bundle", bundle_path).exit_code == 0
    return out


def test_a_photograph_there_and_back(photo, coded, bundle_path, codec):
    run = elic("decompress", coded, photo.with_name("back.png"), "--bundle", bundle_path, "--json")
    assert run.exit_code == 0, run.output
    (facts,) = json.loads(run.stdout)
    assert (facts["width"], facts["height"], facts["bytes"]) == (200, 130, coded.stat().st_size)
    assert np.array_equal(read_image(photo.with_name("back.png")), codec.decompress(coded.read_bytes()))


def test_folders(photo, bundle_path, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        shutil.copy(photo, folder / name)
    run = elic("compress", folder, tmp_path / "out", "--bundle", bundle_path, "--json")
    assert run.exit_code == 0, run.output
    assert [f["output"] for f in json.loads(run.stdout)] == [
        str(tmp_path / "out" / f"{n}.elic") for n in ("one", "two")
    ]
    run = elic("decompress", tmp_path / "out", tmp_path / "back", "--bundle", bundle_path)
    assert run.exit_code == 0, run.output
    assert sorted(p.name for p in (tmp_path / "back").iterdir()) == ["one.png", "two.png"]


def test_a_folder_on_several_threads_gives_the_same_files_and_errors(photo, cat, bundle_path, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        write_image(folder / f"{i}.png", cat[10 * i : 10 * i + 100, :150])
    (folder / "2.png").write_text("no image")
    runs = [
        elic("compress", folder, tmp_path / f"out{jobs}", "--bundle", bundle_path, "--jobs", jobs) for jobs in (1, 3)
    ]
    assert all(refused(run, "2.png") for run in runs)
    outputs = [sorted((tmp_path / f"out{jobs}").iterdir()) for jobs in (1, 3)]
    assert [path.name for path in outputs[0]] == [f"{i}.elic" for i in (0, 1, 3, 4, 5)]
    assert [path.read_bytes() for path in outputs[0]] == [path.read_bytes() for path in outputs[1]]
    names = [[line.split(": ")[0].split("/")[-1] for line in run.stdout.splitlines()] for run in runs]
    assert names[0] == names[1] == [path.name for path in outputs[0]]


def test_one_bad_file_does_not_stop_a_folder(photo, bundle_path, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_text("no image")
    shutil.copy(photo, folder / "b.png")
    run = elic("compress", folder, tmp_path / "out", "--bundle", bundle_path)
    assert refused(run, "a.png")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.elic"]


def test_inputs_that_would_write_one_file_are_refused(photo, bundle_path, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("one.png", "one.bmp"):
        shutil.copy(photo, folder / name)
    assert refused(elic("compress", folder, tmp_path / "out", "--bundle", bundle_path), "same name")
    assert not (tmp_path / "out").exists()


def test_a_folder_does_not_replace_its_own_pictures(photo, bundle_path, tmp_path):
    before = photo.read_bytes()
    assert elic("compress", tmp_path, tmp_path, "--bundle", bundle_path).exit_code == 0
    assert refused(elic("decompress", tmp_path, tmp_path, "--bundle", bundle_path), "cat.png: exists already")
    assert photo.read_bytes() == before
    assert elic("decompress", tmp_path, tmp_path, "--bundle", bundle_path, "--force").exit_code == 0
    assert photo.read_bytes() != before


def test_links_are_followed_and_devices_left_alone(photo, bundle_path, tmp_path):
    (tmp_path / "link.elic").symlink_to(tmp_path / "real.elic")
    assert elic("compress", photo, tmp_path / "link.elic", "--bundle", bundle_path).exit_code == 0
    assert (tmp_path / "link.elic").is_symlink()
    assert (tmp_path / "real.elic").is_file()
    os.mkfifo(tmp_path / "pipe.elic")
    assert refused(elic("compress", photo, tmp_path / "pipe.elic", "--bundle", bundle_path), "not a regular file")
    assert (tmp_path / "pipe.elic").is_fifo()


def test_links_in_a_circle(photo, bundle_path, tmp_path):
    (tmp_path / "loop.elic").symlink_to(tmp_path / "loop.elic")
    run = elic("compress", photo, tmp_path / "loop.elic", "--bundle", bundle_path)
    assert run.exit_code == 2
    assert run.stderr.count("\n") == 1


def test_info_notices_tables_that_were_changed(bundle_path, tmp_path):
    copy = shutil.copytree(bundle_path, tmp_path / "bundle")
    (copy / "entropy_tables.npz").unlink()
    assert refused(elic("info", copy), "entropy_tables.npz: missing")


def test_names_with_brackets_are_names(photo, coded, bundle_path, tmp_path):
    odd = tmp_path / "w[" / "q]" / "[red]c.elic"  # closes a style that was never opened, opens another
    odd.parent.mkdir(parents=True)
    shutil.copy(coded, odd)
    run = elic("info", odd)
    assert run.exit_code == 0
    assert "w[/q]/[red]c.elic" in run.stdout


def test_wrong_usage_is_one_line(bundle_path):
    """Through the real entry point: the test runner would not go through `run_app`."""
    for args in (["compress", "a.png"], ["compress", "--quality", "9"], ["nothing"], ["info", "a", "b"]):
        command = [sys.executable, "-m", "elic_runtime", *args]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert run.stderr.startswith("error: ")
        assert run.stderr.count("\n") == 1
        assert run.stdout == ""
    for args, code in (([], 2), (["--help"], 0), (["info", bundle_path], 0)):
        run = subprocess.run([sys.executable, "-m", "elic_runtime", *args], capture_output=True, text=True, check=False)
        assert run.returncode == code
        assert len(run.stdout) > 200


def test_info_of_a_file_and_a_bundle(coded, bundle_path):
    facts = json.loads(elic("info", coded, "--json").stdout)
    assert (facts["width"], facts["height"]) == (200, 130)
    assert sum(section["bytes"] for section in facts["sections"]) == coded.stat().st_size
    assert facts["tiles"] == {"rows": 1, "columns": 1, "height": 192, "width": 256}
    assert facts["computed"] == round(192 * 256 / (200 * 130), 2)
    assert "latent  one, of 192x256 (height x width), 1.89 times the image's pixels\n" in elic("info", coded).stdout
    facts = json.loads(elic("info", bundle_path, "--json").stdout)
    assert len(facts["subgraphs"]) == 15
    shape = {"height": 128, "width": 192}
    assert facts["encoder"] == facts["decoder"] == {"min": shape, "max": shape}
    assert facts["subgraphs"][0]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 3, 128, 192]}]
    for path in (coded, bundle_path):
        run = elic("info", path)
        assert run.exit_code == 0
        assert "fingerprint" in run.stdout


def test_bad_input_to_elic(photo, coded, bundle_path, tmp_path):
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out.elic"
    assert refused(elic("compress", tmp_path / "no.png", out, "--bundle", bundle_path), "no.png: no such file")
    assert refused(elic("compress", coded, out, "--bundle", bundle_path), "no image")
    assert refused(elic("compress", photo, out, "--bundle", tmp_path), "no bundle here")
    assert refused(elic("compress", photo, photo, "--bundle", bundle_path), "end in .elic")
    assert refused(elic("compress", photo, tmp_path / "folder", "--bundle", bundle_path), "an existing folder")
    assert refused(elic("decompress", photo, tmp_path / "out.png", "--bundle", bundle_path), "not an .elic file")
    assert refused(elic("decompress", coded, tmp_path / "out.jpg", "--bundle", bundle_path), "end in .png")
    assert refused(elic("info", photo), "not an .elic file")
    assert elic("compress", photo).exit_code == 2
    assert elic("compress", photo, out, "--bundle", bundle_path, "--quality", "9").exit_code == 2
    assert sorted(tmp_path.iterdir()) == before


def test_damaged_files(coded, bundle_path, tmp_path):
    data = coded.read_bytes()
    for name, content, word in [
        ("cut.elic", data[: len(data) // 2], "ends in"),
        ("flip.elic", data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "damaged"),
        ("long.elic", data + b"!", "follow"),
        ("empty.elic", b"", "ends in"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert refused(elic("decompress", tmp_path / name, tmp_path / "x.png", "--bundle", bundle_path), name, word)
        assert refused(elic("info", tmp_path / name), name, word)
    assert not (tmp_path / "x.png").exists()


def test_bad_input_to_elic_export(checkpoint, photo, bundle_path, tmp_path):
    out = tmp_path / "bundle"
    export = ("static", "--out", out)
    assert refused(elic_export(*export, "--shape", "100x64"), "multiple of 64")
    assert refused(elic_export(*export, "--shape", "big"), "HEIGHTxWIDTH")
    config = tmp_path / "c.yaml"
    config.write_text("form: static\nshape: {height: 64, width: 64}\nspeed: fast\n")
    assert refused(elic_export(*export, "--config", config), "c.yaml:3: speed")
    assert refused(elic_export(*export, "--config", tmp_path / "no.yaml"), "no.yaml: cannot be read")
    assert refused(elic_export(*export, "--checkpoint", tmp_path / "no.pth"), "no such checkpoint")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(checkpoint.path.read_bytes()[:100_000])
    assert refused(elic_export(*export, "--checkpoint", cut), "truncated")
    other = tmp_path / "other.pth"
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, other)
    assert refused(elic_export(*export, "--checkpoint", other), "not an ELIC checkpoint")
    floats = tmp_path / "float.yaml"
    floats.write_text("form: static\nshape: {height: 64, width: 64}\narithmetic: float\n")
    calibration = bundle_path / "calibration.npz"
    assert refused(elic_export(*export, "--config", floats, "--calibration", calibration), "is not calibrated")
    assert refused(
        elic_export(*export, "--calibration", bundle_path / "conformance.npz"), "is not a row of finite float64 numbers"
    )
    assert refused(elic_export(*export, "--calibration", tmp_path / "no.npz"), "no.npz: no such file or folder")
    assert refused(elic_export(*export, "--calibration", tmp_path / "photos"), "photos: no such file")
    assert not out.exists()
    assert refused(elic_export("parity", tmp_path, "--images", photo), "no bundle here")
    missing = ("--images", tmp_path / "no.png", "--checkpoint", checkpoint.path)
    assert refused(elic_export("parity", bundle_path, *missing), "no.png: no such file")
    assert refused(elic_export("parity", bundle_path, "--images", photo, "--checkpoint", other), "not an ELIC")
    assert not (bundle_path / "parity.json").exists()


def test_convert(checkpoint, tmp_path):
    """A training run's file to safetensors: the same network, and an error leaves nothing."""
    source, target = tmp_path / "run.pth.tar", tmp_path / "out/elic.safetensors"
    tensors = {f"module.{name}": value for name, value in load_file(checkpoint.path).items()}
    torch.save({"state_dict": tensors, "epoch": 3}, source)
    target.parent.mkdir()
    run = elic_export("convert", source, target, "--json")
    assert run.exit_code == 0, run.output
    facts = json.loads(run.stdout)
    assert (facts["variant"], facts["N"], facts["M"]) == ("chandelier", 16, 24)
    converted = load_checkpoint(target).model.state_dict()
    assert all(torch.equal(value, converted[name]) for name, value in checkpoint.model.state_dict().items())
    assert refused(elic_export("convert", source, tmp_path / "elic.onnx"), "ends in .safetensors")
    assert refused(elic_export("convert", tmp_path / "no.pth", target), "no such checkpoint")
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, source)
    assert refused(elic_export("convert", source, tmp_path / "x.safetensors"), "nearest is")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["elic.safetensors", "out", "run.pth.tar"]


def test_help_says_what_each_command_is_for():
    assert "deploy_configs/static-512x512.yaml" in " ".join(elic_export("static", "--help").stdout.split())
    for run, words in [
        (elic("--help"), ["compress", "decompress", "info", "eval", "conformance", "verify"]),
        (elic("compress", "--help"), ["--bundle", "--runner", "--threads", "--json"]),
        (elic_export("--help"), ["static", "dynamic", "no-entropy", "convert", "parity", "compile", "bench"]),
        (elic_export("compile", "--help"), ["--target", "--platform", "--precision", "--rewrite", "--timeout"]),
        (elic_export("static", "--help"), ["--config", "--checkpoint", "--out", "--shape", "--calibration"]),
    ]:
        assert run.exit_code == 0
        for word in words:
            assert word in run.stdout


def test_bench_times_both_sides(checkpoint, bundle_path, float_bundle_path, photo):
    given = (bundle_path, "--image", photo, "--checkpoint", checkpoint.path, "--rounds", "1")
    run = elic_export("bench", *given, "--against", float_bundle_path, "--json")
    assert run.exit_code == 0, run.output
    result = json.loads(run.stdout)
    for stage in ("compress", "decompress"):
        assert result[stage]["best_ratio"] == pytest.approx(
            result[stage]["best_seconds"]["pytorch"] / result[stage]["best_seconds"]["bundle"]
        )
        assert 0 < result[stage]["outside_subgraphs_ms"] < 1000 * result[stage]["best_seconds"]["bundle"]
        parts = result[stage]["parts_ms"]
        assert set(parts) == {"transforms", "context", "coding", "rest"}
        assert all(milliseconds > 0 for milliseconds in parts.values())
        assert sum(parts.values()) == pytest.approx(1000 * result[stage]["median_seconds"]["bundle"])
    assert result["rounds"] == 1
    assert result["peak_gflops"] > 0
    assert result["peak_mb"]["bundle"] > 50
    assert result["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    # A photograph of 130x200 in windows that overlap; the bundle of float arithmetic has no room for them: tiles.
    windows, tiles = ({"count": count, "height": 128, "width": 192} for count in (6, 4))
    assert result["windows"] == {"bundle": windows, "against": tiles}
    for side in ("bundle", "against"):
        assert 0 < result["deciding_ms"][side]["best"] < 1000 * result["compress"]["best_seconds"][side]
    assert refused(elic_export("bench", bundle_path.parent, "--image", photo, "--rounds", "1"), "no bundle here")
    other = photo.with_name("other.safetensors")
    other.write_bytes(b"not what was exported")
    run = elic_export("bench", bundle_path, "--image", photo, "--checkpoint", other)
    assert refused(run, "exported from another checkpoint")
