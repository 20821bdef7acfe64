"""Which variant a checkpoint is, what is said of one that is none, and conversion."""

import re

import pytest
import torch
from checkpoint_files import SMALL, content, saved
from elic_models import ELIC, VARIANTS, CheckpointError, ModelSpec, convert_checkpoint, load_checkpoint
from elic_models.checkpoints.keys import KEY_LAYOUTS, checkpoint_keys
from elic_models.checkpoints.matching import best_match
from safetensors import safe_open
from safetensors.torch import load_file, save_file

WIDTHS = [
    SMALL,
    (24, 16, (2, 4, 4, 6)),
    (16, 16, (6, 10)),
    (16, 16, (16,)),
    (4, 3, (1, 2)),  # 2M = 3N/2: the ends of CompressAI's two hyper-syntheses differ in one axis only
    (3, 4, (1, 1, 2)),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_each_layout_is_told_from_the_others(variant, widths, tmp_path):
    path = saved(tmp_path, content(variant, widths))
    assert load_checkpoint(path).model.spec == ModelSpec(*widths, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_may_be_demanded(variant, tmp_path):
    path = saved(tmp_path, content(variant))
    assert load_checkpoint(path, variant).model.spec.variant == variant
    for other in VARIANTS.keys() - {variant}:
        with pytest.raises(CheckpointError, match=rf"a {variant} ELIC, not the named {other}") as error:
            load_checkpoint(path, other)
        assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match="unknown ELIC variant 'elic': known are chandelier"):
        load_checkpoint(path, "elic")


def test_a_demanded_variant_is_held_against_even_what_is_nothing(tmp_path):
    path = saved(tmp_path, {"a": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="widths of this jiang ELIC"):
        load_checkpoint(path, "jiang")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lambda: {"conv.weight": torch.zeros(3)}, r"nearest is \S+, with \d+ missing .* 1 unexpected \(conv\.weight\)"),
        (
            lambda: {f"codec_{key}": value for key, value in content("jiang").items()},
            r"known layout; nearest is \S+, with \d+ missing \(.* and \d+ more\); \d+ unexpected \(codec_",
        ),
        (
            lambda: {key: value for key, value in content("jiang").items() if key.startswith(("g_a", "local"))},
            r"known layout; nearest is jiang, with \d+ missing",
        ),
    ],
)
def test_an_unknown_layout_is_told_what_it_resembles(tensors, message, tmp_path):
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(saved(tmp_path, tensors()))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ("jiang", "entropy_parameters_anchor.1.fusion.2.weight"),
        ("jiang", "g_a.analysis_transform.1.branch.4.bias"),
        ("compressai-official", "latent_codec.hyper.h_s.4.bias"),
        ("compressai-chandelier", "latent_codec.y.channel_context.y1.0.weight"),
    ],
)
def test_what_is_missing_unexpected_or_misshapen_has_the_checkpoints_own_name(variant, key, tmp_path):
    tensors = content(variant)
    shape = list(tensors[key].shape)
    lost = {name: value for name, value in tensors.items() if name != key} | {"extra": torch.zeros(1)}
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(saved(tmp_path, lost))
    assert str(error.value).endswith(f"not a whole {variant} ELIC: 1 missing ({key}); 1 unexpected (extra)")
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(saved(tmp_path, tensors | {key: torch.zeros(7, 7, 7)}))
    assert str(error.value).endswith(f"not a whole {variant} ELIC: 1 misshapen ({key} [7, 7, 7] instead of {shape})")


def test_the_widths_needed_are_named_if_they_are_not_there(tmp_path):
    tensors = content("jiang")
    M = tensors["h_a.reduction.0.weight"].shape[1]
    for key in [
        key for key in tensors if re.search(r"transform\.13\.(weight|bias)|reduction\.0\.w|_s\.\w+\.1\.w", key)
    ]:
        assert M in tensors.pop(key).shape
    with pytest.raises(CheckpointError, match=r"widths of this jiang ELIC: h_a\.reduction\.0\.weight is missing"):
        load_checkpoint(saved(tmp_path, tensors))


@pytest.mark.parametrize("variant", ["jiang", "compressai-official", "compressai-chandelier"])
def test_old_bottleneck_names_and_wrappers_load_alike(variant, tmp_path):
    tensors = content(variant)
    names = {"matrices": "_matrix", "biases": "_bias", "factors": "_factor"}

    def old_name(key):
        return "module." + re.sub(r"(?<=bottleneck\.)([a-z]+)\.(?=\d)", lambda found: names[found[1]], key)

    old = {old_name(key): value for key, value in tensors.items()}
    assert sum("._matrix" in key for key in old) == 5
    path = saved(tmp_path, {"network": old, "epoch": 1}, "old.pth.tar")
    loaded, plain = (load_checkpoint(p).model for p in (path, saved(tmp_path, tensors)))
    for name, value in plain.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def layouts():
    return [(variant, k) for variant in VARIANTS for k in range(len(KEY_LAYOUTS[variant]))]


@pytest.mark.parametrize(("variant", "k"), layouts())
def test_a_checkpoint_with_one_tensor_lost_or_misshapen_is_named_rightly(variant, k):
    """Whichever tensor it is, even one that tells the widths."""
    layout = KEY_LAYOUTS[variant][k]
    tensors = content(variant, layout=layout)
    for key, value in tensors.items():
        lost = best_match({name: tensor for name, tensor in tensors.items() if name != key})
        assert (lost.variant, lost.layout, lost.missing, lost.unexpected) == (variant, layout, (key,), ()), key
        misshapen = best_match(tensors | {key: value.new_zeros(7, 7, 7)})
        assert (misshapen.variant, misshapen.layout) == (variant, layout), key
        assert (misshapen.missing, misshapen.unexpected) == ((), ()), key
        (named,) = misshapen.misshapen
        assert named == f"{key} [7, 7, 7] instead of {list(value.shape)}"


@pytest.mark.parametrize("variant", ["compressai-official", "compressai-chandelier"])
def test_compressais_newer_keys_load_as_the_older_ones_do(variant, tmp_path):
    """The entropy bottleneck of z beside h_a and h_s, which HyperpriorLatentCodec then holds itself."""
    older = with_tables(variant) | {
        f"latent_codec.hyper.{name}": value
        for name, value in ELIC(ModelSpec(*SMALL, variant)).state_dict().items()
        if name.startswith("entropy_bottleneck.") and "quantiles" not in name and not re.search(r"s\.\d$", name)
    }
    newer = {
        key.replace(".hyper.entropy", ".z.entropy").replace(".hyper.", "."): value.clone()
        for key, value in older.items()
    }
    assert {"latent_codec.h_a.0.weight", "latent_codec.h_s.4.bias"} <= newer.keys()
    assert {"latent_codec.z.entropy_bottleneck.matrices.0", "latent_codec.z.entropy_bottleneck._offset"} <= newer.keys()
    models = [load_checkpoint(saved(tmp_path, t, f"{n}.pth")).model for n, t in (("a", older), ("b", newer))]
    assert models[1].spec == ModelSpec(*SMALL, variant)
    for name, value in models[0].state_dict().items():
        assert torch.equal(models[1].state_dict()[name], value), name
    target = tmp_path / "converted.safetensors"
    convert_checkpoint(tmp_path / "b.pth", target)
    assert load_file(target).keys() == newer.keys()
    assert load_checkpoint(target).model.spec == models[1].spec
    del newer["latent_codec.h_s.4.bias"]
    with pytest.raises(CheckpointError, match=rf"not a whole {variant} ELIC: 1 missing \(latent_codec\.h_s\.4\.bias\)"):
        load_checkpoint(saved(tmp_path, newer))


def test_the_entropy_bottleneck_of_releases_between_loads_too(tmp_path):
    """CompressAI called its parameters `_matrices.0` for a while, before `matrices.0` and after `_matrix0`."""
    tensors = content("chandelier")
    between = {re.sub(r"(?<=bottleneck\.)(?=[a-z]+\.\d)", "_", key): value for key, value in tensors.items()}
    assert "entropy_bottleneck._matrices.0" in between
    loaded = load_checkpoint(saved(tmp_path, between)).model
    for name, value in load_checkpoint(saved(tmp_path, tensors)).model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_a_variant_given_overrides_the_metadata(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(content("jiang"), path, {"variant": "compressai-official"})
    assert load_checkpoint(path, "jiang").model.spec.variant == "jiang"


def with_tables(variant="compressai-official"):
    """As CompressAI stores it after `update()`: the same tables once per slice."""
    tensors = content(variant)
    spec = ModelSpec(*WIDTHS[0], variant)
    model = ELIC(spec)
    model.update_tables()
    for name, value in model.gaussian_conditional.named_buffers(prefix="gaussian_conditional"):
        keys = checkpoint_keys(name, spec)
        assert len(keys) == 3
        tensors |= {key: value.clone() for key in keys}
    return tensors


def test_tables_stored_per_slice_are_used_as_they_are(tmp_path):
    tensors = with_tables()
    keys = [key for key in tensors if key.endswith("gaussian_conditional._quantized_cdf")]
    for key in keys:
        tensors[key][0, 1] += 1  # as another machine's float rounding might have it
    used = load_checkpoint(saved(tmp_path, tensors)).model.gaussian_conditional.quantized_cdf
    assert torch.equal(used, tensors[keys[0]])


@pytest.mark.parametrize("name", ["_quantized_cdf", "scale_table", "scale_bound"])
def test_slices_with_tables_of_their_own_are_refused(name, tmp_path):
    tensors = with_tables()
    key = f"latent_codec.y.latent_codec.y2.y.gaussian_conditional.{name}"
    tensors[key].view(-1)[1 if name != "scale_bound" else 0] += 1
    with pytest.raises(CheckpointError, match=rf"y0\S+\.{name} and \S+y2\S+\.{name} differ") as error:
        load_checkpoint(saved(tmp_path, tensors))
    assert "\n" not in str(error.value)


def test_a_slice_without_tables_uses_the_others(tmp_path):
    tensors = {key: value for key, value in with_tables().items() if ".y1.y." not in key}
    load_checkpoint(saved(tmp_path, tensors))


@pytest.mark.parametrize("variant", VARIANTS)
def test_conversion_keeps_every_tensor_and_names_the_variant(variant, tmp_path):
    tensors = content(variant)
    source = saved(tmp_path, {"state_dict": {f"module.{key}": value for key, value in tensors.items()}}, "model.pth")
    target = tmp_path / "converted.safetensors"
    target.write_bytes(b"something else")
    converted = convert_checkpoint(source, target)
    stored = load_file(target)
    assert stored.keys() == tensors.keys()
    assert all(torch.equal(stored[key], value) and stored[key].dtype == value.dtype for key, value in tensors.items())
    with safe_open(target, "pt") as file:
        assert file.metadata() == {"variant": variant, "N": "16", "M": "24", "groups": "4,8,12"}
    again = load_checkpoint(target)
    assert (converted.path, converted.sha256, converted.model.spec) == (target, again.sha256, again.model.spec)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["converted.safetensors", "model.pth"]


def test_conversion_keeps_half_precision_and_untangles_shared_memory(tmp_path):
    tensors = {key: value.half() for key, value in content("chandelier").items()}
    tensors["g_a.1.conv2.weight"] = tensors["g_a.1.conv2.weight"].to(memory_format=torch.channels_last)
    tensors["context_prediction.0.mask"] = torch.tensor(
        [[(i + j) % 2 for j in range(5)] for i in range(5)], dtype=torch.float32
    ).expand(8, 4, 5, 5)
    shared = torch.cat((tensors["g_a.0.bias"], tensors["g_a.4.bias"]))
    tensors["g_a.0.bias"], tensors["g_a.4.bias"] = shared.chunk(2)
    target = tmp_path / "half.safetensors"
    convert_checkpoint(saved(tmp_path, tensors, "half.pth"), target)
    stored = load_file(target)
    assert all(torch.equal(stored[key], value) and stored[key].dtype == value.dtype for key, value in tensors.items())


def test_a_converted_checkpoint_must_be_what_its_metadata_says(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(content("jiang"), path, {"variant": "compressai-official"})
    with pytest.raises(CheckpointError, match="a jiang ELIC, not the named compressai-official"):
        load_checkpoint(path)
    save_file(content("jiang"), path, {"variant": "something of another tool's"})
    assert load_checkpoint(path).model.spec.variant == "jiang"


def test_conversions_that_cannot_be_are_refused_and_leave_nothing(tmp_path):
    source = saved(tmp_path, content("jiang"), "model.pth")
    with pytest.raises(CheckpointError, match=r"ends in \.safetensors"):
        convert_checkpoint(source, tmp_path / "model.onnx")
    with pytest.raises(CheckpointError, match="cannot be written"):
        convert_checkpoint(source, tmp_path / "nowhere" / "model.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        convert_checkpoint(source, tmp_path / "folder.safetensors")
    target = tmp_path / "kept.safetensors"
    target.write_bytes(b"kept")
    broken = saved(tmp_path, {"a": torch.zeros(2)}, "broken.pth")
    with pytest.raises(CheckpointError, match="known layout"):
        convert_checkpoint(broken, target)
    assert target.read_bytes() == b"kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("broken.pth", "folder.safetensors", "kept.safetensors", "model.pth")
    ]
