"""Every TIFF layout gives the right picture or a clear refusal, nothing else."""

import io
import struct

import numpy as np
import pytest
import tifffile
from damage import survives_damage
from elic_runtime import ImageError
from elic_runtime.images import decode_photograph, tiff
from PIL import Image
from tiffs import all_layouts, by_hand


@pytest.fixture
def pixels(cat):
    return cat[100:120, 150:180]


def decode(data):
    return decode_photograph(data, "a.tif").pixels


def saved(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def test_every_layout_is_right_or_refused(pixels, capfd):
    wrong, refused, right = [], [], 0
    for file in all_layouts(pixels):
        try:
            found = decode(file.data)
        except ImageError as error:
            clear = "cannot be read" not in str(error) and "\n" not in str(error)
            if file.readable or not clear:
                refused.append(f"{file.label}: {error}")
            continue
        same = file.picture is not None and found.shape == file.picture.shape
        if same and np.abs(found.astype(int) - file.picture).max() <= file.tolerance:
            right += 1
        else:
            wrong.append(file.label)
    assert not wrong, (len(wrong), wrong[:5])
    assert not refused, (len(refused), refused[:5])
    assert right > 4500
    assert capfd.readouterr() == ("", "")


def test_pages_that_are_smaller_versions_are_left_out(pixels):
    for order in (False, True):
        pages = [(pixels, 0), (np.ascontiguousarray(pixels[::4, ::4]), 1)]
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            for page, kind in reversed(pages) if order else pages:
                writer.write(page, photometric="rgb", subfiletype=kind, metadata=None)
        assert (decode(buffer.getvalue()) == pixels).all()


def test_several_pages_and_masks_are_refused(pixels):
    for kind, message in ((0, "several frames"), (4, "transparency mask")):
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            writer.write(pixels, photometric="rgb", metadata=None)
            writer.write(pixels[:, :, 0] > 99, photometric="minisblack", subfiletype=kind, metadata=None)
        with pytest.raises(ImageError, match=message):
            decode(buffer.getvalue())


def test_big_tiff(pixels):
    for samples in (pixels, np.moveaxis(pixels.astype(np.uint16) * 257, -1, 0)):
        planes = "contig" if samples is pixels else "separate"
        assert (decode(saved(samples, photometric="rgb", bigtiff=True, planarconfig=planes)) == pixels).all()


def test_directories_in_a_circle(pixels):
    data = bytearray(saved(pixels, photometric="rgb"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    with pytest.raises(ImageError, match="circle"):
        decode(bytes(data))


def test_pixels_that_are_not_there(pixels):
    """A strip beyond the end, and strips that hold less than the tags say: other readers leave these black."""
    data = saved(pixels, photometric="rgb", rowsperstrip=5)
    assert (decode(data) == pixels).all()
    short = by_hand("<", _tags(pixels) | {279: (4, [pixels.size // 2])}, pixels.tobytes())
    for broken in (data[: data.index(pixels.tobytes()) + pixels.size // 2], short):
        with pytest.raises(ImageError):
            decode(broken)
    with pytest.raises(ImageError, match="truncated"):
        decode(short)


def _tags(pixels):
    height, width = pixels.shape[:2]
    longs = {256: width, 257: height, 273: 8, 278: height, 279: pixels.size}
    shorts = {258: [8, 8, 8], 259: [1], 262: [2], 277: [3]}
    return {tag: (4, [value]) for tag, value in longs.items()} | {tag: (3, value) for tag, value in shorts.items()}


def test_a_file_that_does_not_say_what_its_samples_mean(pixels):
    tags = _tags(pixels)
    assert (decode(by_hand(">", tags, pixels.tobytes())) == pixels).all()
    del tags[262]
    with pytest.raises(ImageError, match="what its samples mean"):
        decode(by_hand(">", tags, pixels.tobytes()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": np.float32}, "floating-point samples are not coded"),
        ({"dtype": np.float16}, "16-bit floating-point"),
        ({"dtype": np.uint32}, "32-bit samples are not coded"),
        ({"dtype": np.int16}, "16-bit signed"),
    ],
)
def test_samples_of_unknown_range_are_named(pixels, options, message):
    with pytest.raises(ImageError, match=message):
        decode(saved(pixels[:, :, 0].astype(options["dtype"]), photometric="minisblack"))


def test_without_tifffile_its_layouts_say_what_to_install(pixels, monkeypatch):
    """The package is optional: the search for it is what is changed here."""
    data = saved(np.moveaxis(pixels.astype(np.uint16), -1, 0), photometric="rgb", planarconfig="separate")
    monkeypatch.setattr(tiff, "find_spec", lambda _name: None)
    with pytest.raises(ImageError, match=r"16-bit RGB, planar, compression 1.* install elic-deploy\[photos\]"):
        decode(data)


def test_damage_is_refused_or_harmless(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", compression="tiff_lzw")
    assert survives_damage(saved(pixels, photometric="rgb"))
    assert survives_damage(buffer.getvalue())
