import pickle

import numpy as np
import pytest
import torch
from elic_models import CheckpointError, default_checkpoint, load_checkpoint
from elic_models.checkerboard import spatial_mask
from safetensors.torch import load_file, save_file

OLD_BOTTLENECK = {"matrices.": "_matrix", "biases.": "_bias", "factors.": "_factor"}


@pytest.fixture(scope="module")
def tensors(checkpoint):
    return load_file(checkpoint.path)


def as_test_model(tensors, model):
    """What the original `TestModel.state_dict()` holds: buffers, masks and tables besides the weights."""
    full = dict(tensors)
    for prefix in ("entropy_bottleneck", "gaussian_conditional"):
        full |= {f"{prefix}.{n}": b for n, b in model.get_submodule(prefix).named_buffers()}
    for k in range(5):
        weight = tensors[f"context_prediction.{k}.weight"]
        full[f"context_prediction.{k}.mask"] = spatial_mask(5).expand_as(weight).clone()
    return full


def with_old_names(tensors):
    renamed = dict(tensors)
    for key in tensors:
        for new, old in OLD_BOTTLENECK.items():
            if key.startswith(f"entropy_bottleneck.{new}"):
                renamed[key.replace(new, old)] = renamed.pop(key)
    assert "entropy_bottleneck._matrix0" in renamed
    return renamed


def test_the_embedded_checkpoint_is_what_its_card_says(trained_checkpoint):
    checkpoint = trained_checkpoint
    spec = checkpoint.model.spec
    assert (spec.variant, spec.N, spec.M, spec.groups) == ("chandelier", 192, 320, (16, 16, 32, 64, 192))
    assert sum(p.numel() for p in checkpoint.model.parameters()) == 33_792_771
    assert all(p.dtype == torch.float32 for p in checkpoint.model.parameters())
    assert checkpoint.sha256.startswith("28901ec7")


@pytest.mark.parametrize("wrap", [None, "state_dict", "network"])
@pytest.mark.parametrize("old_names", [False, True])
def test_original_layouts_load_alike(checkpoint, tensors, tmp_path, wrap, old_names):
    content = as_test_model(tensors, checkpoint.model)
    if old_names:
        content = with_old_names(content)
    if wrap:
        content = {wrap: {f"module.{key}": value for key, value in content.items()}, "epoch": 3}
    path = tmp_path / "model.pth.tar"
    torch.save(content, path)
    loaded = load_checkpoint(path).model.state_dict()
    for name, value in checkpoint.model.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_stored_tables_are_used_as_they_are(checkpoint, tensors, tmp_path):
    content = as_test_model(tensors, checkpoint.model)
    shifted = content["gaussian_conditional._quantized_cdf"].clone()
    shifted[0, 1] += 1  # as another machine's float rounding might have it
    content["gaussian_conditional._quantized_cdf"] = shifted
    path = tmp_path / "model.pth"
    torch.save(content, path)
    assert torch.equal(load_checkpoint(path).model.gaussian_conditional.quantized_cdf, shifted)


def test_an_incomplete_set_of_tables_is_computed_anew(checkpoint, tensors, tmp_path):
    content = as_test_model(tensors, checkpoint.model)
    content["gaussian_conditional._offset"] = torch.IntTensor()
    path = tmp_path / "model.pth"
    torch.save(content, path)
    computed = load_checkpoint(path).model.gaussian_conditional
    assert torch.equal(computed.quantized_cdf, checkpoint.model.gaussian_conditional.quantized_cdf)


def broken(tensors, change):
    content = dict(tensors)
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("h_s.4.bias"), r"1 missing \(h_s\.4\.bias\)"),
        (lambda t: t.update(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (lambda t: t.update({"h_s.4.bias": torch.zeros(7)}), r"1 misshapen \(h_s\.4\.bias \[7\] instead of \[48\]\)"),
        (lambda t: t.update({"g_s.14.bias": torch.full((3,), float("nan"))}), "not finite"),
        (
            lambda t: [t.pop(f"{n}.0.0.weight") for n in ("cc_transforms", "ParamAggregation")],
            r"not a whole chandelier ELIC: 2 missing",
        ),
        (lambda t: t.pop("context_prediction.4.weight"), r"ELIC: 1 missing \(context_prediction\.4\.weight\)"),
        (lambda t: t.update({"g_a.0.weight": torch.tensor(1.0)}), r"ELIC: 1 misshapen \(g_a\.0\.weight \[\] instead"),
        (lambda t: t.update({"h_a.0.weight": torch.ones(3)}), r"ELIC: 1 misshapen \(h_a\.0\.weight \[3\] instead"),
        (lambda t: t.update({"g_a.0.weight": torch.ones(2000, 3, 5, 5)}), r"ELIC: 1 misshapen \(g_a\.0\.weight"),
        (
            lambda t: [t.pop(name) for name in ("h_a.0.weight", "g_a.13.weight", "g_a.13.bias", "g_s.1.weight")],
            r"cannot tell the widths of this chandelier ELIC: h_a\.0\.weight is missing",
        ),
        (
            lambda t: t.update({f"{k}.bias": torch.ones(2000) for k in ("g_a.0", "g_a.4", "h_a.0")}),
            "cannot tell the widths of .* N = 2000 .* outside",
        ),
        (lambda t: t.update({"h_s.4.bias": torch.zeros(48, dtype=torch.bool)}), "not a dtype of weights"),
        (lambda t: t.update({"h_s.4.bias": torch.zeros(48, dtype=torch.complex64)}), "not a dtype of weights"),
        (
            lambda t: t.update({"entropy_bottleneck.target": torch.zeros(4)}),
            r"1 misshapen \(entropy_bottleneck\.target",
        ),
        (lambda t: t.update({"h_s.4.bias": torch.zeros(48).to(torch.float8_e4m3fn)}), "not a dtype of weights"),
        (lambda t: t.update({"module.g_a.0.bias": torch.zeros(16)}), "stored twice"),
        (lambda t: t.update({"entropy_bottleneck._matrix0": torch.zeros(16, 3, 1)}), "stored twice"),
        (lambda t: t.update({"context_prediction.0.mask": torch.ones(1)}), "not the checkerboard"),
        (lambda t: t.update({"context_prediction.0.mask": torch.ones(8, 4, 5, 5)}), "not the checkerboard"),
    ],
)
def test_what_does_not_fit_is_listed(tensors, tmp_path, change, message):
    path = tmp_path / "model.safetensors"
    save_file(broken(tensors, change), path)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_without_a_checkout_the_error_says_how_to_pass_one(monkeypatch):
    monkeypatch.setattr("elic_models.checkpoints.default.__file__", "/usr/lib/site-packages/elic_models/checkpoint.py")
    with pytest.raises(CheckpointError, match="pass --checkpoint PATH"):
        default_checkpoint()


class Bomb:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": Bomb()}, path)
    with pytest.raises(CheckpointError, match="carries print, code or an object"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("keep", [0, 5, 1000, 0.3])
def test_truncated_files_are_refused(tensors, tmp_path, name, keep):
    path = tmp_path / name
    torch.save(tensors, path) if name.endswith("pth") else save_file(tensors, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match=r"damaged|truncated|empty") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_mutated_pickles_are_refused_in_one_line(tmp_path):
    """The old format, whose damage torch reports in many ways; none may get through."""
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {"a": torch.zeros(3)}}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(content), 300):
        path.write_bytes(content[:at] + bytes([rng.integers(256)]) + content[at + 1 :])
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(path)
        assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="a folder"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "nothing.pth")
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x05")
    with pytest.raises(CheckpointError, match="neither safetensors nor PyTorch"):
        load_checkpoint(tmp_path / "model.onnx")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="no tensors by name"):
        load_checkpoint(tmp_path / "list.pth")
