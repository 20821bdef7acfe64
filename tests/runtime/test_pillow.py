"""`.elic` files in software that opens and saves images with Pillow."""

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from elic_runtime import pillow, read_info
from elic_runtime.metrics import psnr
from PIL import Image, UnidentifiedImageError


@pytest.fixture(autouse=True)
def bundle(bundle_path, monkeypatch):
    monkeypatch.setenv("ELIC_BUNDLE", str(bundle_path))
    return bundle_path


@pytest.fixture
def picture(cat):
    return Image.fromarray(cat[100:228, 150:342])


def saved(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "ELIC", **options)
    return buffer.getvalue()


def test_a_file_is_saved_and_opened_by_its_name(codec, picture, tmp_path):
    picture.save(tmp_path / "cat.elic")
    data = (tmp_path / "cat.elic").read_bytes()
    assert data == codec.compress(np.asarray(picture))
    with Image.open(tmp_path / "cat.elic") as found:
        assert (found.format, found.size, found.mode, found.info["step"]) == ("ELIC", (192, 128), "RGB", 1)
        assert (np.asarray(found) == codec.decompress(data)).all()
        assert found.get_format_mimetype() == "image/x-elic"
        assert found.resize((48, 32)).size == (48, 32)


def test_a_file_is_opened_without_its_bundle_until_pixels_are_needed(picture, monkeypatch):
    data = saved(picture)
    monkeypatch.delenv("ELIC_BUNDLE")
    found = Image.open(io.BytesIO(data))
    assert found.size == picture.size
    with pytest.raises(OSError, match="no bundle: name its folder in ELIC_BUNDLE"):
        found.load()


def test_options_choose_bundle_and_rate(trained_path, picture):
    whole = saved(picture, bundle=trained_path)
    assert len(saved(picture, bundle=trained_path, step=2)) < 0.8 * len(whole)
    size = round(0.8 * len(whole))
    assert 0.98 * size < len(saved(picture, bundle=trained_path, bytes=size)) <= size
    with pytest.raises(ValueError, match="use one of them"):
        saved(picture, step=2, psnr=30)
    with pytest.raises(OSError, match="step=9: it must be from"):
        saved(picture, step=9)
    with pytest.raises(OSError, match="bytes=0: it must be a positive number"):
        saved(picture, bytes=0)
    assert saved(picture, psnr=None) == saved(picture)


def test_each_half_of_a_bundle_is_enough(bundle, picture, tmp_path, monkeypatch):
    data = saved(picture)
    viewer = shutil.copytree(bundle, tmp_path / "viewer", ignore=shutil.ignore_patterns("g_a*.onnx", "h_a.onnx"))
    camera = shutil.copytree(bundle, tmp_path / "camera", ignore=shutil.ignore_patterns("g_s*.onnx"))
    monkeypatch.setenv("ELIC_BUNDLE", str(viewer))
    assert np.asarray(Image.open(io.BytesIO(data))).shape == (128, 192, 3)
    assert saved(picture, bundle=camera) == data


def test_profile_exif_and_xmp_go_along(picture):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    data = saved(picture, icc_profile=b"a profile", exif=exif, xmp=b"<x/>")
    assert read_info(data).metadata.exif[:4] in (b"II*\0", b"MM\0*")
    found = Image.open(io.BytesIO(data))
    assert (found.info["icc_profile"], found.info["xmp"]) == (b"a profile", b"<x/>")
    assert (found.getexif()[0x010F], found.getexif()[0x0112]) == ("Maker", 1)


def test_other_modes_are_refused(picture):
    with pytest.raises(OSError, match="cannot write mode L as ELIC: convert it to RGB"):
        saved(picture.convert("L"))


def test_damaged_files_are_no_images(picture):
    data = bytearray(saved(picture))
    data[-1] ^= 1
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(bytes(data)))


def test_a_file_of_another_bundle_cannot_be_decoded(trained_path, picture):
    with pytest.raises(OSError, match="written with another bundle"):
        Image.open(io.BytesIO(saved(picture, bundle=trained_path))).load()


def test_one_import_is_all_that_a_program_needs(picture, bundle, tmp_path):
    picture.save(tmp_path / "a.elic")
    program = "import sys, elic_runtime.pillow; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2])"
    environment = os.environ | {"ELIC_BUNDLE": str(bundle)}
    paths = [str(tmp_path / name) for name in ("a.elic", "a.png")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True, env=environment)
    found = np.asarray(Image.open(tmp_path / "a.png"))
    assert psnr(found, np.asarray(Image.open(tmp_path / "a.elic"))) > 50
    assert pillow.FORMAT in Image.SAVE
