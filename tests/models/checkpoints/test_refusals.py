"""What is no checkpoint is refused in one line that says the cause and what to do, and no code is run."""

import argparse
import bz2
import datetime
import gzip
import io
import lzma
import pathlib
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from checkpoint_files import content, saved
from elic_models import ELIC, CheckpointError, ModelSpec, load_checkpoint
from torch import nn

NAMES = ["model.pth", "model.safetensors", "model.ckpt", "MODEL.BIN", "model"]


def refusal(path):
    """What is said after the file's name, one line."""
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    said = message.removeprefix(f"{path}: ")
    for advice in ("weights_only", "safe_globals", "trust", "allowlist"):
        assert advice not in said
    return said


@pytest.fixture(scope="module")
def tensors():
    return content("chandelier")


def attribute_dict():
    """As pytorch_lightning keeps a model's arguments."""
    kind = type("AttributeDict", (dict,), {"__module__": __name__})
    globals()["AttributeDict"] = kind
    return kind(lr=1e-4)


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        ({"args": argparse.Namespace(lr=1e-4)}, "argparse.Namespace"),
        ({"best_loss": np.float64(0.5)}, r"multiarray.scalar"),
        ({"history": np.zeros(3)}, r"multiarray._reconstruct"),
        ({"saved_at": datetime.datetime(2026, 1, 1)}, "datetime.datetime"),
        ({"path": pathlib.PurePosixPath("x")}, "pathlib.PurePosixPath"),
        ({"hyper_parameters": attribute_dict()}, "test_refusals.AttributeDict"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_class_is_named(tensors, tmp_path, beside, named, zipped):
    path = saved(tmp_path, {"state_dict": tensors, **beside}, "model.ckpt", _use_new_zipfile_serialization=zipped)
    said = refusal(path)
    assert said.startswith("carries ")
    assert named in said
    assert 'save its state_dict alone: torch.save(model.state_dict(), "elic.pth")' in said


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: {"model": model, "epoch": 1}])
def test_a_whole_pickled_model_is_named(tmp_path, wrap):
    model = ELIC(ModelSpec(16, 24, (4, 8, 12)))
    assert refusal(saved(tmp_path, wrap(model), "model.pth")).startswith("carries elic_models.elic.ELIC, ")
    said = refusal(saved(tmp_path, wrap(nn.DataParallel(model)), "model.pth"))
    assert said.startswith("carries torch.nn.parallel.data_parallel.DataParallel, ")


def test_what_is_plain_of_a_lightning_checkpoint_is_read(tensors, tmp_path):
    plain = {
        "epoch": 3,
        "global_step": 1000,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{key}": value for key, value in tensors.items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5), "best_model_path": ""}
        },
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 1e-4, "widths": (16, 24)},
    }
    assert load_checkpoint(saved(tmp_path, plain, "last.ckpt")).model.spec.variant == "chandelier"


class Bomb:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_any_protocol_run_nothing(tmp_path, capsys, protocol):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"a": Bomb()}, protocol))
    said = refusal(path)
    assert "state_dict alone" in said
    assert ("carries print" if protocol < 4 else "protocol 4") in said
    torch.save({"state_dict": Bomb()}, path, pickle_protocol=protocol)
    assert "state_dict alone" in refusal(path)
    path.write_bytes(b"\x80\x02cposix\nsystem\nX\x01\x00\x00\x00x\x85R.")
    assert "carries posix.system" in refusal(path)
    assert capsys.readouterr().out == ""


def test_tensors_that_pickle_wrote(tensors, tmp_path):
    path = tmp_path / "model.pkl"
    for protocol, named in ((2, "carries torch.storage._load_from_bytes"), (4, "protocol 4")):
        path.write_bytes(pickle.dumps(tensors, protocol))
        assert named in refusal(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:28901ec7\nsize 135238612\n",
            "a Git LFS pointer in place of the file: run git lfs pull",
        ),
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>" + b" " * 900, "a web page in place of the file"),
        (b'\n  <html lang="en">', "a web page"),
        (b"\xef\xbb\xbf<!doctype html>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page"),
        ("<title>Quota überschritten</title>".encode() * 30, "a web page"),
        (b"Entry not found", "a text file, not a checkpoint; it begins with 'Entry not found'"),
        (b'{"message": "Not Found"}', "a text file, not a checkpoint; it begins with '{\"message"),
        (b"  \n", "a text"),
        (gzip.compress(b"x" * 999, mtime=0), "a gzip archive: unpack it"),
        (bz2.compress(b"x" * 999), "a bzip2 archive: unpack it"),
        (lzma.compress(b"x" * 999), "an xz archive: unpack it"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "a zstd archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x00\x01\x02\x03" * 99, "damaged, or neither safetensors nor PyTorch"),
    ],
)
def test_other_files_say_what_they_are(tmp_path, data, said, name):
    (tmp_path / name).write_bytes(data)
    assert refusal(tmp_path / name).startswith(said)


def test_archives(tensors, tmp_path):
    inner = saved(tmp_path, tensors, "elic.pth")
    with tarfile.open(tmp_path / "model.tar", "w") as archive:
        archive.add(inner, "elic.pth")
    assert refusal(tmp_path / "model.tar").startswith("a tar archive: unpack it")
    with zipfile.ZipFile(tmp_path / "model.bin", "w") as archive:
        archive.write(inner, "elic.pth")
    assert "without a checkpoint of PyTorch in it: unpack it" in refusal(tmp_path / "model.bin")
    np.savez(tmp_path / "model.npz", a=np.zeros(3))
    assert "without a checkpoint of PyTorch" in refusal(tmp_path / "model.npz")
    torch.jit.trace(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 2, 2)).save(tmp_path / "model.pt")
    assert refusal(tmp_path / "model.pt").startswith("a TorchScript archive")


@pytest.mark.parametrize("part", [0.001, 0.02, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_truncated_files_are_to_be_loaded_again(tensors, tmp_path, form, part, name):
    buffer = io.BytesIO()
    torch.save(tensors, buffer, _use_new_zipfile_serialization=form == "zip")
    data = saved(tmp_path, tensors).read_bytes() if form == "safetensors" else buffer.getvalue()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * part)])
    assert refusal(path) == "the file is truncated, its end is missing: download or copy it again"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = saved(tmp_path, {"a": torch.zeros(1)})

    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "open", denied)
    assert refusal(path) == "cannot be read: Permission denied"
