"""Which variant a checkpoint is, what is said of one that is none, and conversion."""

import re

import pytest
import seeded
import torch
from elic_models import ELIC, VARIANTS, CheckpointError, ModelSpec, convert_checkpoint, load_checkpoint
from elic_models.keys import checkpoint_keys
from safetensors import safe_open
from safetensors.torch import load_file, save_file

WIDTHS = [
    (16, 24, (4, 8, 12)),
    (24, 16, (2, 4, 4, 6)),
    (16, 16, (6, 10)),
    (16, 16, (16,)),
    (4, 3, (1, 2)),  # 2M = 3N/2: the ends of CompressAI's two hyper-syntheses differ in one axis only
    (3, 4, (1, 1, 2)),
]


def content(variant, widths=WIDTHS[0]):
    """A checkpoint's parameters, seeded, under its own layout's keys."""
    N, M, groups = widths
    spec = ModelSpec(N, M, groups, variant)
    with torch.device("meta"):
        parameters = dict(ELIC(spec).named_parameters())
    return seeded.tensors({checkpoint_keys(name, spec)[0]: p.shape for name, p in parameters.items()})


def saved(folder, tensors, name="model.safetensors"):
    path = folder / name
    save_file(tensors, path) if name.endswith(".safetensors") else torch.save(tensors, path)
    return path


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
        with pytest.raises(CheckpointError, match=rf"a {variant} ELIC, where {other} is named") as error:
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
            lambda: {f"net.{key}": value for key, value in content("jiang").items()},
            r"known layout; nearest is \S+, with \d+ missing \(.* and \d+ more\); \d+ unexpected \(net\.",
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
    del tensors["h_a.reduction.0.weight"]
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
    with pytest.raises(CheckpointError, match="a jiang ELIC, where compressai-official is named"):
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
