"""Whatever a training script put around the network's tensors, or beside them."""

import re

import pytest
import torch
from checkpoint_files import content, saved
from elic_models import CheckpointError, convert_checkpoint, load_checkpoint
from safetensors.torch import load_file


@pytest.fixture(scope="module")
def tensors():
    return content("chandelier")


@pytest.fixture(scope="module")
def ema():
    """The same network, of other weights."""
    return content("chandelier", salt="ema")


def assert_loads(path, tensors, **options):
    """The file's network has these tensors, and as converted too."""
    target = path.with_name("converted.safetensors")
    convert_checkpoint(path, target, **options)
    stored = load_file(target)
    assert stored.keys() == tensors.keys()
    assert all(torch.equal(stored[key], value) for key, value in tensors.items())


def prefixed(tensors, prefix):
    return {prefix + key: value for key, value in tensors.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "model.", "net."),
        *("module._orig_mod.", "_orig_mod.module.", "module.module.", "model.net."),
        *("_orig_mod.model.module.net.", "net.model._orig_mod.", "_forward_module.network."),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_prefixes_that_all_keys_share_are_stripped(tensors, tmp_path, prefix, name):
    assert_loads(saved(tmp_path, prefixed(tensors, prefix), name), tensors)


@pytest.mark.parametrize("part", ["g_a.", "ParamAggregation.0."])
@pytest.mark.parametrize("wrapper", ["module", "_orig_mod"])
def test_a_part_may_be_wrapped_alone(tensors, tmp_path, part, wrapper):
    wrapped = {key.replace(part, f"{part}{wrapper}.", 1): value for key, value in tensors.items()}
    assert wrapped.keys() != tensors.keys()
    assert_loads(saved(tmp_path, wrapped), tensors)


def test_a_prefix_that_some_keys_have_is_none(tensors, tmp_path):
    partly = {f"net.{key}" if key.startswith("g_") else key: value for key, value in tensors.items()}
    with pytest.raises(CheckpointError, match=r"missing \(g_a.*unexpected \(net\.g_a"):
        load_checkpoint(saved(tmp_path, partly))


@pytest.mark.parametrize(
    "path",
    [
        *("model", "model_state_dict", "net", "params", "params_ema", "ema", "weights", "state_dict", "network"),
        *("ema.state_dict", "model.params_ema", "checkpoint.model.state_dict", "generator", "best_model_state"),
    ],
)
def test_wrappers_are_read_nested_too(tensors, tmp_path, path):
    held = prefixed(tensors, "module.")
    for name in reversed(path.split(".")):
        held = {name: held, "epoch": 3}
    assert_loads(saved(tmp_path, held, "model.pth"), tensors)
    assert_loads(saved(tmp_path, held, "model.pth"), tensors, key=path)
    assert_loads(saved(tmp_path, held, "model.pth"), tensors, key=path.split(".")[0])


def optimizer_state(tensors):
    """As torch.optim.Adam has it, and as sharded training does: by the parameters' names."""
    moments = {"exp_avg": torch.zeros(3), "step": torch.tensor(1.0)}
    return {"state": {0: moments, "g_a.0.weight": moments, "all": dict(tensors)}, "param_groups": [{"lr": 1e-4}]}


def test_what_lies_beside_the_network_is_ignored(tensors, tmp_path):
    beside = {
        **{
            name: optimizer_state(tensors) for name in ("optimizer", "aux_optimizer", "optim_g", "optimizer_state_dict")
        },
        "optimizer_states": [optimizer_state(tensors)],
        "lr_schedulers": [{"last_epoch": 3}],
        "scheduler": {"best": torch.tensor(0.1), "all": dict(tensors)},
        "scaler": {"scale": torch.tensor(2.0)},
        "loss": torch.tensor(0.25),
        "best_loss": 0.5,
        "epoch": 12,
        "args": {"lambda": 0.015, "lr": 1e-4},
        "discriminator": {"0.weight": torch.zeros(3, 3)},
        "hyper_parameters": {"N": 16},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.1)}},
        "pytorch-lightning_version": "2.5.0",
    }
    assert_loads(saved(tmp_path, {"state_dict": tensors, **beside}, "model.pth"), tensors)
    assert_loads(saved(tmp_path, {**tensors, **beside}, "flat.pth"), tensors)


@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod."])
def test_counters_among_the_weights_are_ignored(tensors, tmp_path, prefix):
    """Of an averaged model, and of thop, which counts operations of every module."""
    counted = prefixed(tensors, prefix) | {"n_averaged": torch.tensor(7)}
    for module in ("", *{key.rpartition(".")[0] + "." for key in counted if "." in key}):
        counted |= {f"{module}total_ops": torch.zeros(1, dtype=torch.float64), f"{module}total_params": torch.zeros(1)}
    counted |= {"epoch": torch.tensor(3), "best_loss": torch.tensor(0.5)}
    assert_loads(saved(tmp_path, counted), tensors)
    assert_loads(saved(tmp_path, {"ema": {"state_dict": counted}}, "model.pth"), tensors)


def test_several_networks_are_named_and_one_is_chosen(tensors, ema, tmp_path):
    path = saved(tmp_path, {"params": tensors, "params_ema": prefixed(ema, "module."), "epoch": 1}, "model.pth")
    with pytest.raises(
        CheckpointError, match=r"model\.pth: more than one ELIC, under params, params_ema: .* --key params_ema$"
    ):
        load_checkpoint(path)
    assert_loads(path, tensors, key="params")
    assert_loads(path, ema, key="params_ema")
    with pytest.raises(CheckpointError, match="no tensors under 'ema': they are under params, params_ema"):
        load_checkpoint(path, key="ema")


def test_nested_networks_are_chosen_by_a_dotted_path(tensors, ema, tmp_path):
    nested = {"ema": {"state_dict": ema, "decay": 0.999}, "model": {"state_dict": tensors}}
    path = saved(tmp_path, nested, "model.pth")
    with pytest.raises(CheckpointError, match=r"under ema\.state_dict, model\.state_dict"):
        load_checkpoint(path)
    for key in ("ema", "ema.state_dict"):
        assert_loads(path, ema, key=key)
    path = saved(tmp_path, {"all": nested}, "deep.pth")
    with pytest.raises(CheckpointError, match=r"under all\.ema\.state_dict, all\.model\.state_dict"):
        load_checkpoint(path, key="all")
    assert_loads(path, tensors, key="all.model")


def test_a_network_beside_a_wrapped_one(tensors, ema, tmp_path):
    path = saved(tmp_path, {**tensors, "ema": ema}, "model.pth")
    with pytest.raises(CheckpointError, match=r"more than one ELIC, under \., ema"):
        load_checkpoint(path)
    assert_loads(path, tensors, key=".")
    assert_loads(path, ema, key="ema")


def test_equal_networks_are_one(tensors, tmp_path):
    copies = prefixed({key: value.clone() for key, value in tensors.items()}, "module.")
    assert_loads(saved(tmp_path, {"params": tensors, "params_ema": copies}, "model.pth"), tensors)


def test_the_only_elic_is_chosen(tensors, ema, tmp_path):
    few = {key: value for key, value in ema.items() if key.startswith("h_a")}
    other = {"params": {"backbone.weight": torch.zeros(9)}, "teacher": few, "params_ema": tensors}
    assert_loads(saved(tmp_path, other, "model.pth"), tensors)


def test_a_damaged_network_is_not_passed_over(tensors, ema, tmp_path):
    """Two are there, and only one is whole: whichever was meant, it is not for us to say."""
    del ema["h_s.4.bias"]
    path = saved(tmp_path, {"params": tensors, "params_ema": ema}, "model.pth")
    with pytest.raises(CheckpointError, match="more than one ELIC"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"not a whole chandelier ELIC: 1 missing \(h_s\.4\.bias\)"):
        load_checkpoint(path, key="params_ema")
    ema["h_s.4.bias"] = tensors["h_s.4.bias"]


@pytest.mark.parametrize("suffix", ["", ".ckpt", ".bin", ".tar", ".pkl", ".PTH", ".SafeTensors", ".v2", ".safetensors"])
@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_the_content_says_how_a_file_is_read(tensors, tmp_path, form, suffix):
    """Not the suffix, even where it says something else."""
    if form == "safetensors":
        path = saved(tmp_path, tensors)
    else:
        path = saved(tmp_path, tensors, "model.pth", _use_new_zipfile_serialization=form == "zip")
    renamed = path.rename(tmp_path / f"elic{suffix}")
    assert_loads(renamed, tensors)


def test_dicts_in_a_circle_end(tensors, tmp_path):
    content = {"state_dict": tensors}
    content["self"] = content
    assert_loads(saved(tmp_path, content, "model.pth"), tensors)


@pytest.mark.parametrize(
    "held", [[1, 2], {}, {"state_dict": {}}, {"epoch": 3}, torch.zeros(3), {3: torch.zeros(3)}, None]
)
def test_files_without_tensors_by_name(tmp_path, held):
    with pytest.raises(CheckpointError, match="no tensors by name"):
        load_checkpoint(saved(tmp_path, held, "model.pth"))


def test_names_of_a_file_do_not_break_the_line(tensors, tmp_path):
    path = saved(tmp_path, {"a\nb\x1b[2J": tensors, "c": tensors | {"x\r\ny": torch.zeros(1)}}, "model.pth")
    for key in (None, "c", "q\n"):
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(path, key=key)
        assert not re.search(r"[\x00-\x1f]", str(error.value))
