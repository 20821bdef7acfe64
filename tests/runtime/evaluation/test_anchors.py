"""JPEG, WebP, AVIF and JPEG XL at the sizes of other files."""

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from elic_runtime import ElicError
from elic_runtime.evaluation.anchors import available, find_anchors, match, points_of_anchors
from elic_runtime.evaluation.measures import measure

NAMES = ["JPEG", "WebP", "AVIF", "JPEG XL"]

SIZES = [5000, 2500, 9000, 1200]
"""Wanted sizes in bytes: 0.6 to 4.4 bits per pixel of the photograph."""


@pytest.fixture(scope="module")
def photograph(cat):
    """A part of one, uint8 [96, 170, 3]: AVIF takes its time."""
    return cat[60:156, 120:290]


@pytest.fixture(params=NAMES)
def anchor(request):
    return find_anchors([request.param])[0]


def test_all_codecs_are_installed_here():
    assert [anchor.name for anchor in available()] == NAMES
    for anchor in available():
        assert any(digit in anchor.version for digit in "0123456789")
        assert anchor.settings


def test_codecs_are_found_by_names_that_users_write():
    assert find_anchors(NAMES) == available()
    assert [anchor.name for anchor in find_anchors(["jxl", "webp", "Jpeg", "jpeg xl", "JPG", "jpeg-xl"])] == [
        "JPEG XL",
        "WebP",
        "JPEG",
    ]
    assert find_anchors([]) == ()


def test_an_unknown_codec_is_refused():
    with pytest.raises(ElicError, match="'BPG' is no codec to compare with: known are JPEG, WebP, AVIF, JPEG XL"):
        find_anchors(["JPEG", "BPG"])


def test_a_codec_that_is_not_installed_names_the_extra():
    code = """
import sys
sys.modules["pillow_jxl"] = None  # as if it were not installed
from elic_runtime.errors import ElicError
from elic_runtime.evaluation.anchors import available, find_anchors
print(*(anchor.name for anchor in available()), sep=", ")
try:
    find_anchors(["jxl"])
except ElicError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "JPEG, WebP, AVIF",
        "JPEG XL cannot be written here: install the extra, pip install 'elic-deploy[jxl]'",
    ]


def test_files_are_those_of_the_codec_and_come_back(anchor, photograph):
    data = anchor.encode(photograph, anchor.highest)
    starts = {"JPEG": b"\xff\xd8\xff", "WebP": b"RIFF", "AVIF": b"\0\0\0", "JPEG XL": b"\xff\x0a"}
    assert data.startswith(starts[anchor.name])
    decoded = anchor.decode(data)
    assert (decoded.shape, decoded.dtype) == (photograph.shape, np.uint8)
    assert measure(photograph, decoded, perceptual=False).psnr_db > 35
    assert len(anchor.encode(photograph, anchor.lowest)) < len(data) / 10


def test_files_hold_no_metadata_and_are_the_same_each_time(anchor, photograph):
    data = anchor.encode(photograph, 50)
    assert anchor.encode(photograph.copy(), 50) == data
    for mark in (b"Exif", b"ICC_PROFILE", b"ICCP", b"xpacket"):
        assert mark not in data


def test_jpeg_is_progressive_and_has_half_the_chroma(photograph):
    (jpeg,) = find_anchors(["JPEG"])
    data = jpeg.encode(photograph, 75)
    start = data.index(b"\xff\xc2")  # start of frame, progressive
    assert data[start + 9 : start + 14 : 2] == b"\x03\x22\x02"  # three components, the first one of 2x2 samples
    assert len(data) < len(jpeg.__class__(**{**vars(jpeg), "options": {"subsampling": "4:2:0"}}).encode(photograph, 75))


def distance(data, size):
    return abs(math.log(len(data) / size))


def test_a_near_file_is_found(anchor, photograph):
    """The nearest but for 1 %: a higher quality may give a smaller file."""
    for size, file in zip(SIZES, match(anchor, photograph, SIZES), strict=True):
        assert anchor.encode(photograph, file.quality) == file.data
        assert file.encode_s > 0
        for quality in (file.quality - 1, file.quality + 1):
            if anchor.lowest <= quality <= anchor.highest:
                assert distance(file.data, size) <= distance(anchor.encode(photograph, quality), size) + 0.01


def test_the_nearest_of_all_files_is_found(photograph):
    (jpeg,) = find_anchors(["JPEG"])
    files = [jpeg.encode(photograph, quality) for quality in range(1, 101)]
    wanted = [int(size) for size in np.geomspace(len(files[0]) / 2, len(files[-1]) * 2, 30)]
    for size, file in zip(wanted, match(jpeg, photograph, wanted), strict=True):
        assert distance(file.data, size) == min(distance(each, size) for each in files)


class Counting:
    """A codec that counts what it encodes."""

    def __init__(self, anchor):
        self.lowest, self.highest, self.encode_ = anchor.lowest, anchor.highest, anchor.encode
        self.qualities = []

    def encode(self, image, quality):
        self.qualities.append(quality)
        return self.encode_(image, quality)


def test_no_quality_is_encoded_twice(photograph):
    counting = Counting(*find_anchors(["JPEG"]))
    files = match(counting, photograph, [*SIZES, *SIZES, 1, 10**9])
    assert len(counting.qualities) == len(set(counting.qualities)) <= 35
    assert files[:4] == files[4:8]
    assert [file.quality for file in files[8:]] == [1, 100]


def test_points_are_of_the_files(anchor, photograph):
    sizes = {2.0: 1200, 1.0: 2500, 0.5: 5000}
    points = points_of_anchors([anchor], "cat.png", photograph, sizes, perceptual=True)
    assert [point.step for point in points] == [2.0, 1.0, 0.5]
    for point, size in zip(points, sizes.values(), strict=True):
        data = anchor.encode(photograph, point.quality)
        expected = measure(photograph, anchor.decode(data), perceptual=True)
        assert (point.image, point.codec, point.setting) == ("cat.png", anchor.name, f"quality {point.quality}")
        assert (point.bytes, point.bpp) == (len(data), 8 * len(data) / (96 * 170))
        assert point.bytes == pytest.approx(size, rel=0.1)
        assert (point.width, point.height, point.grid) == (170, 96, None)
        assert (point.psnr_db, point.equal) == (expected.psnr_db, False)
        assert (point.ms_ssim, point.ssimulacra2) == (None, expected.ssimulacra2)
        assert point.encode_s > 0
        assert point.decode_s > 0
    for worse, better in itertools.pairwise(points):
        assert worse.psnr_db < better.psnr_db
        assert worse.ssimulacra2 < better.ssimulacra2


def test_points_come_codec_by_codec_and_size_by_size(photograph):
    points = points_of_anchors(find_anchors(["WebP", "JPEG"]), "cat.png", photograph, {1: 10, 3: 20}, perceptual=False)
    assert [(point.codec, point.step) for point in points] == [("WebP", 1), ("WebP", 3), ("JPEG", 1), ("JPEG", 3)]
    assert [point.quality for point in points] == [0, 0, 1, 1]
    assert points_of_anchors(available(), "cat.png", photograph, {}, perceptual=False) == []


def test_a_picture_that_a_format_does_not_hold_is_refused(cat):
    wide = np.tile(cat[:1], (1, 37, 1))
    (webp,) = find_anchors(["WebP"])
    with pytest.raises(ElicError, match="WebP does not take a picture of 16687x1: "):
        webp.encode(wide, 50)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept to one core here")
def test_files_are_the_same_on_any_number_of_cores(photos):
    """As AVIF's would not be by default: Pillow cuts a picture into tiles, one for each core."""
    code = """
import hashlib, os, sys
import numpy as np
from elic_runtime.evaluation.anchors import find_anchors
from elic_runtime.images import read_image
if sys.argv[2] == "one core":
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
image = np.tile(read_image(sys.argv[1]), (1, 2, 1))[:, :640]
for anchor in find_anchors(["AVIF", "JPEG XL"]):
    print(hashlib.sha256(anchor.encode(image, 5)).hexdigest())
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", code, photos / "astronaut.png", cores], capture_output=True, text=True, check=True
        ).stdout
        for cores in ("one core", "all cores")
    ]
    assert found[0] == found[1] != ""
