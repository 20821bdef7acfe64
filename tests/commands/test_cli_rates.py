"""What the `elic` command makes of steps, targets, parts of files, thumbnails and metadata."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from elic_runtime import read_info
from elic_runtime.images import read_image, write_image
from elic_runtime.metrics import psnr
from PIL import Image


def elic(*args, **options):
    command = [sys.executable, "-m", "elic_runtime", *map(str, args)]
    return subprocess.run(command, capture_output=True, check=False, **options)


def facts_of(run):
    assert run.returncode == 0, run.stderr
    (facts,) = json.loads(run.stdout)
    return facts


@pytest.fixture
def photo(cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[100:228, 150:342])
    return tmp_path / "cat.png"


@pytest.fixture
def coded(photo, codec):
    data = codec.compress(read_image(photo))
    photo.with_suffix(".elic").write_bytes(data)
    return photo.with_suffix(".elic")


def test_a_step(photo, bundle_path, codec):
    out = photo.with_suffix(".elic")
    run = elic("compress", photo, out, "--bundle", bundle_path, "--step", "1.5")
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(b" s, step 1.5\n")
    assert out.read_bytes() == codec.compress(read_image(photo), step=1.5)
    assert b"step  1.5\n" in elic("info", out).stdout
    assert json.loads(elic("info", out, "--json").stdout)["step"] == 1.5


@pytest.mark.parametrize("target", ["--bytes", "--bpp", "--psnr"])
def test_a_target(photo, trained_path, trained_codec, target):
    out = photo.with_suffix(".elic")
    own = facts_of(elic("compress", photo, out, "--bundle", trained_path, "--json"))
    value = {"--bytes": round(0.8 * own["bytes"]), "--bpp": 0.8 * own["bpp"], "--psnr": 31}[target]
    found = facts_of(elic("compress", photo, out, "--bundle", trained_path, target, value, "--json"))
    assert found["step"] != 1
    if target == "--psnr":
        picture = trained_codec.decompress(out.read_bytes())
        assert psnr(read_image(photo), picture) == pytest.approx(31, abs=0.05)
    if target != "--psnr":
        assert 0.78 * own["bytes"] < found["bytes"] == out.stat().st_size <= 0.8 * own["bytes"] + 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--step 9", "step=9.0: it must be from 0.5 to 4"),
        ("--bytes 0", "bytes=0: it must be a positive number"),
        ("--step 1 --bpp 2", "use one of them"),
        ("--bytes 5000 --psnr 30", "use one of them"),
        ("--bytes 20", "cat.png: 20 bytes: the smallest file of this image has"),
        ("--metadata some", "'some' is not one of"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(photo, bundle_path, options, said):
    out = photo.with_suffix(".elic")
    run = elic("compress", photo, out, "--bundle", bundle_path, *shlex.split(options))
    assert run.returncode == 2
    assert said in run.stderr.decode()
    assert run.stderr.count(b"\n") == 1
    assert not out.exists()


def test_slices_and_cut_files(coded, bundle_path, codec):
    out = coded.with_name("out.png")
    facts = facts_of(elic("decompress", coded, out, "--bundle", bundle_path, "--slices", "2", "--json"))
    assert (facts["passes"], facts["all_passes"]) == (4, 10)
    assert (read_image(out) == codec.decompress(coded.read_bytes(), slices=2)).all()
    out.unlink()
    coded.write_bytes(coded.read_bytes()[:-1])
    run = elic("decompress", coded, out, "--bundle", bundle_path)
    assert run.returncode == 2
    assert b"the file ends in the stream of slice 4" in run.stderr
    assert not out.exists()
    run = elic("decompress", coded, out, "--bundle", bundle_path, "--partial")
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(b" s, 9 of 10 passes\n")
    assert (read_image(out) == codec.decompress(coded.read_bytes(), partial=True)).all()


@pytest.mark.parametrize(("size", "shape"), [("1/8", (16, 24, 3)), ("1/16", (8, 12, 3))])
def test_thumbnails(coded, bundle_path, codec, size, shape):
    out = coded.with_name("small.png")
    facts = facts_of(elic("thumbnail", coded, out, "--bundle", bundle_path, "--size", size, "--json"))
    assert (facts["height"], facts["width"]) == shape[:2]
    assert (read_image(out) == codec.thumbnail(coded.read_bytes(), int(size[2:]))).all()
    run = elic("thumbnail", coded, out, "--bundle", bundle_path, "--size", "1/4")
    assert run.returncode == 2
    assert run.stderr.count(b"\n") == 1


def test_thumbnails_of_a_folder(coded, bundle_path):
    run = elic("thumbnail", coded.parent, coded.parent / "small", "--bundle", bundle_path)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in (coded.parent / "small").iterdir()] == ["cat.png"]


def test_metadata(photo, bundle_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    camera, out, back = (photo.with_name(name) for name in ("camera.jpg", "camera.elic", "back.png"))
    with Image.open(photo) as picture:
        picture.save(camera, quality=95, exif=exif, comment=b"hello", icc_profile=b"")
    run = elic("compress", camera, out, "--bundle", bundle_path)
    assert run.stdout.decode().endswith(" s, without EXIF, a comment\n")
    assert facts_of(elic("compress", camera, out, "--bundle", bundle_path, "--json"))["dropped"] == [
        "EXIF",
        "a comment",
    ]
    run = elic("compress", camera, out, "--bundle", bundle_path, "--metadata", "all")
    assert run.stdout.decode().endswith(" s, without a comment\n")
    assert b"EXIF" in elic("info", out).stdout
    assert elic("decompress", out, back, "--bundle", bundle_path).returncode == 0
    with Image.open(back) as found:
        assert found.size == (128, 192)
        assert (found.getexif()[0x010F], found.getexif()[0x0112]) == ("Maker", 1)
    run = elic("decompress", out, back.with_suffix(".ppm"), "--bundle", bundle_path)
    assert run.stdout.decode().endswith(" s, without EXIF\n")
    assert elic("compress", camera, out, "--bundle", bundle_path, "--metadata", "none").returncode == 0
    assert read_info(out.read_bytes()).metadata.size == 0


def test_a_pipeline(photo, bundle_path, codec):
    """Both ends at once, as in a shell."""
    first = [sys.executable, "-m", "elic_runtime", "compress", "-", "-", "--bundle", str(bundle_path), "--step", "2"]
    second = [sys.executable, "-m", "elic_runtime", "decompress", "-", "-", "--bundle", str(bundle_path)]
    run = subprocess.run(
        f"{shlex.join(first)} < {photo} | {shlex.join(second)} > {photo.with_name('out.png')}",
        shell=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    expected = codec.decompress(codec.compress(read_image(photo), step=2))
    assert np.abs(read_image(photo.with_name("out.png")).astype(int) - expected).max() <= 1
