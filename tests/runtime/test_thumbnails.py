"""Small pictures from y_hat alone."""

import shutil

import numpy as np
import pytest
from elic_export.exact.calibration import Calibration, write_calibration
from elic_runtime import BundleError, Codec, ElicError
from elic_runtime.bundle import Bundle
from elic_runtime.metrics import psnr
from elic_runtime.thumbnail_head import Head, box_downsampled, from_outputs, read_head, to_outputs


def expected(image, scale):
    """The photograph, its last rows and columns repeated, downsampled by boxes."""
    missing = ((0, -image.shape[0] % scale), (0, -image.shape[1] % scale), (0, 0))
    return np.rint(box_downsampled(np.pad(image, missing, mode="edge"), scale)).astype(np.uint8)


@pytest.mark.parametrize(("scale", "least"), [(16, 33), (8, 32)])
@pytest.mark.parametrize("tiles", [False, True])
def test_it_is_the_photograph_downsampled(trained_path, trained_codec, cat, scale, least, tiles):
    data = trained_codec.compress(cat, tiles=tiles)
    found = Codec.load(trained_path, encode=False, decode=False).thumbnail(data, scale)
    assert found.shape == (-(-300 // scale), -(-451 // scale), 3)
    assert psnr(expected(cat, scale), found) > least


def test_it_needs_no_transform(trained_path, cat, tmp_path):
    shutil.copytree(trained_path, tmp_path / "bundle", ignore=shutil.ignore_patterns("g_*.onnx", "h_a.onnx", "targets"))
    data = Codec.load(trained_path).compress(cat[:128, :192])
    codec = Codec.load(tmp_path / "bundle", encode=False, decode=False)
    assert codec.thumbnail(data).shape == (8, 12, 3)
    for half in (lambda: codec.compress(cat), lambda: codec.decompress(data)):
        with pytest.raises(ElicError, match="this codec was loaded with"):
            half()


def test_a_part_of_a_file_has_one_too(trained_codec, cat):
    data = trained_codec.compress(cat[:128, :192])
    whole = expected(cat[:128, :192], 16)
    quality = [psnr(whole, trained_codec.thumbnail(data, slices=k)) for k in range(6)]
    assert quality == sorted(quality)
    assert quality[3] > 25
    cut = data[: 2 * len(data) // 3]
    assert psnr(whole, trained_codec.thumbnail(cut, partial=True)) > quality[1]


@pytest.mark.parametrize("scale", [1, 4, 32, 0])
def test_other_scales_are_refused(codec, cat, scale):
    with pytest.raises(ElicError, match=f"scale={scale}: it must be 16 or 8"):
        codec.thumbnail(codec.compress(cat[:64, :64]), scale)


def test_bundles_without_a_head_say_so(float_bundle_path, copy, calibration, cat):
    codec = Codec.load(float_bundle_path)
    data = codec.compress(cat[:64, :64])
    with pytest.raises(BundleError, match="a bundle of float arithmetic makes no thumbnails"):
        codec.thumbnail(data)
    write_calibration(copy / "calibration.npz", Calibration(calibration.peaks))
    with pytest.raises(BundleError, match="holds no head for thumbnails"):
        read_head(copy / "calibration.npz", 24)
    with pytest.raises(BundleError, match="changed since the export"):
        Bundle(copy).thumbnail_head()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.zeros((15, 24), np.float32), "not one of this model"),
        (np.zeros((15, 25), np.float64), "not one of this model"),
        (np.full((15, 25), np.nan, np.float32), "not finite"),
    ],
)
def test_heads_of_other_models_are_refused(tmp_path, weights, said):
    np.savez(tmp_path / "calibration.npz", thumbnail=weights)
    with pytest.raises(BundleError, match=said):
        read_head(tmp_path / "calibration.npz", 24)


@pytest.mark.parametrize("scale", [16, 8])
def test_outputs_are_the_pixels_of_their_position(scale):
    pixels = np.random.default_rng(0).random((64 // scale, 96 // scale, 3))
    outputs = to_outputs(pixels, scale)
    assert outputs.shape == (3 * (16 // scale) ** 2, 4, 6)
    assert (from_outputs(outputs, scale) == pixels.transpose(2, 0, 1)).all()


def test_a_head_is_linear():
    """Of a latent with one channel: a bias, and a weight for each output."""
    weights = np.zeros((15, 2), np.float32)
    weights[:, 1] = 0.5
    weights[0, 0] = 0.1
    head = Head(weights)
    y_hat = np.array([[[0.0, 1.0], [2.0, 9.0]]], np.float32)
    assert head(y_hat, 16)[:, :, 0].tolist() == [[128, 153], [178, 255]]
    assert (head(y_hat, 16)[:, :, 1:] == 128).all()
    assert head(y_hat, 8).shape == (4, 4, 3)
