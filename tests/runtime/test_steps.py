"""One checkpoint, many rates: a step per file, and the step at which a file has a size or a picture a quality."""

import re

import numpy as np
import pytest
from elic_runtime import Codec, ElicError, Target, TargetError
from elic_runtime.container_reading import parse
from elic_runtime.metrics import psnr
from elic_runtime.steps import nearest_step

STEPS = (0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


@pytest.fixture(scope="module")
def crop(cat):
    return cat[100:228, 150:342]


@pytest.mark.parametrize("step", STEPS)
def test_every_bundle_and_thread_count_decodes_any_step(bundle_path, dynamic_path, codec, crop, step):
    data = codec.compress(crop, step=step)
    assert parse(data).step == step
    picture = codec.decompress(data)
    for path, threads in ((bundle_path, 1), (dynamic_path, 2)):
        found = Codec.load(path, threads=threads, encode=False).decompress(data)
        assert np.abs(found.astype(int) - picture).max() <= 1


def test_larger_steps_give_smaller_files_and_worse_pictures(trained_codec, crop):
    """The share of a step's rate and PSNR that DESIGN's measurements of larger crops give, roughly."""
    files = [trained_codec.compress(crop, step=step) for step in STEPS]
    sizes = [len(data) for data in files]
    assert sizes == sorted(sizes, reverse=True)
    quality = [psnr(crop, trained_codec.decompress(data)) for data in files]
    assert quality == sorted(quality, reverse=True)
    assert 1.4 < sizes[0] / sizes[2] < 2
    assert 0.4 < sizes[4] / sizes[2] < 0.75
    assert quality[0] - quality[2] > 0.7
    assert quality[2] - quality[4] > 1.5


def test_a_step_of_1_is_the_default(codec, crop):
    assert codec.compress(crop) == codec.compress(crop, step=1) == codec.compress(crop, step=1.001)


def test_batches_have_steps_of_their_own(codec, crop):
    """Files of different steps are decoded one after the other, in one call."""
    files = [codec.compress(crop, step=step) for step in (1, 2, 2, 0.5)]
    pictures = list(codec.decompress_many(files))
    assert all((p == codec.decompress(d)).all() for p, d in zip(pictures, files, strict=True))
    assert list(codec.compress_many([crop, crop], step=2)) == files[1:3]


@pytest.mark.parametrize(("asked", "taken"), [(0.5, 0.5), (0.6, 77 / 128), (4, 4), (1.003, 1), (1.005, 129 / 128)])
def test_a_file_holds_the_nearest_step(codec, crop, asked, taken):
    assert nearest_step(asked) == taken
    assert parse(codec.compress(crop, step=asked)).step == taken


@pytest.mark.parametrize("step", [0.499, 4.001, 0, -1, float("nan"), float("inf")])
def test_other_steps_are_refused(codec, crop, step):
    with pytest.raises(ElicError, match=re.escape(f"step={step}: it must be from 0.5 to 4")):
        codec.compress(crop, step=step)


@pytest.mark.parametrize("tiles", [False, True])
def test_a_file_has_the_size_that_is_asked_for(trained_codec, cat, tiles):
    size = len(trained_codec.compress(cat, tiles=tiles))
    for wanted in (0.7 * size, 1.2 * size):
        data = trained_codec.compress_to(cat, Target("bytes", wanted), tiles=tiles)
        assert 0.985 * wanted <= len(data) <= wanted
        assert trained_codec.decompress(data).shape == cat.shape
    bpp = 8 * 0.8 * size / (cat.shape[0] * cat.shape[1])
    assert 0.8 * 0.985 * size <= len(trained_codec.compress_to(cat, Target("bpp", bpp), tiles=tiles)) <= 0.8 * size


def test_a_picture_has_the_quality_that_is_asked_for(trained_codec, cat):
    own = psnr(cat, trained_codec.decompress(trained_codec.compress(cat)))
    for wanted in (own - 1.5, own + 0.4):
        data = trained_codec.compress_to(cat, Target("psnr", wanted))
        assert psnr(cat, trained_codec.decompress(data)) == pytest.approx(wanted, abs=0.05)


def test_progress_ends_at_its_total(codec, crop):
    seen = []
    codec.compress_to(
        crop,
        Target("psnr", psnr(crop, codec.decompress(codec.compress(crop, step=1.3)))),
        progress=lambda *n: seen.append(n),
    )
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_few_walks_of_the_context_model_are_enough(trained_path, cat):
    """g_a runs once for each window, and the context model at most eight times."""
    from elic_runtime.runners import onnxruntime_factory

    runs = []

    def counted(name, graph, info):
        run = onnxruntime_factory()(name, graph, info)
        return lambda inputs: (runs.append(name), run(inputs))[1]

    codec = Codec.load(trained_path, runner=counted)
    size = len(codec.compress(cat[:128, :192]))
    for share in (0.5, 0.8, 1.3):
        runs.clear()
        codec.compress_to(cat[:128, :192], Target("bytes", share * size))
        assert runs.count("g_a_h_a") == 1
        assert runs.count("context_0_anchor") <= 8
        assert "g_s" not in runs


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("bytes", 50), r"^50 bytes: the smallest file of this image has \d+ bytes .*, at a step of 4$"),
        (Target("bpp", 20), r"^20 bpp: the largest file of this image has \d+ bytes .*, at a step of 0\.5$"),
        (Target("psnr", 99), r"^99 dB: the best picture of this image has \d+\.\d\d dB, at a step of 0\.5$"),
        (Target("psnr", 3), r"^3 dB: the worst picture of this image has \d+\.\d\d dB, at a step of 4$"),
    ],
)
def test_a_target_out_of_reach_says_what_is_possible(codec, crop, target, said):
    with pytest.raises(TargetError, match=said):
        codec.compress_to(crop, target)


def test_a_target_is_a_quantity_that_there_is():
    with pytest.raises(ElicError, match="PSNR: a target is one of bytes, bpp, psnr"):
        Target("PSNR", 30)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_targets_that_make_no_sense_are_refused(value):
    with pytest.raises(ElicError, match="it must be a positive number"):
        Target("bytes", value)


def test_a_quality_needs_the_decoder(bundle_path, crop):
    with pytest.raises(ElicError, match="decode=False"):
        Codec.load(bundle_path, decode=False).compress_to(crop, Target("psnr", 20))
