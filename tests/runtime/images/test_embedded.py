"""Colour profiles, EXIF and XMP on their way from a photograph through an `.elic` file to an image."""

import io
import struct

import numpy as np
import pytest
from elic_runtime import Codec, ImageError, Metadata, read_info
from elic_runtime.file_coding import compress_photograph, decompress_data
from elic_runtime.images import decode_photograph, encode_image
from elic_runtime.images import in_srgb as converted
from elic_runtime.images.embedded import upright
from elic_runtime.metadata import MAX_METADATA
from PIL import Image, ImageOps, PngImagePlugin
from profiles import DISPLAY_P3, SRGB_CURVE, in_srgb, profile

ICC = profile("Display P3", SRGB_CURVE, DISPLAY_P3)
GREY = profile("Grey", 1.8)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><x/></x:xmpmeta>'
MAKE, ORIENTATION = 0x010F, 0x0112


@pytest.fixture
def pixels(cat):
    return cat[100:164, 150:246]


def exif(orientation=6):
    tags = Image.Exif()
    tags[MAKE], tags[ORIENTATION] = "Maker", orientation
    return tags.tobytes()


def saved(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_all_of_it_is_read(pixels, kind):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    how = {"pnginfo": text} if kind == "PNG" else {"xmp": XMP}
    data = saved(pixels, kind, icc_profile=ICC, exif=exif(), **how)
    found = decode_photograph(data, "a", keep_profile=True)
    assert found.metadata.icc == ICC
    assert found.metadata.xmp == XMP
    tags = Image.Exif()
    tags.load(found.metadata.exif)
    assert dict(tags) == {MAKE: "Maker", ORIENTATION: 1}
    assert found.pixels.shape == (96, 64, 3)
    assert (found.pixels == np.asarray(ImageOps.exif_transpose(opened(data)).convert("RGB"))).all()
    assert found.converted_from is None


def test_tiffs_have_profile_and_xmp(pixels):
    data = saved(pixels, "TIFF", icc_profile=ICC, tiffinfo={700: XMP, 274: 6})
    found = decode_photograph(data, "a", keep_profile=True)
    assert found.metadata == Metadata(icc=ICC, xmp=XMP)
    assert found.pixels.shape == (96, 64, 3)


def test_what_else_there_is_is_named(pixels):
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "somebody")
    assert decode_photograph(saved(pixels, "PNG", pnginfo=text), "a").others == ("text",)
    assert decode_photograph(saved(pixels, "JPEG", comment=b"hello"), "a").others == ("a comment",)
    assert decode_photograph(saved(pixels, "TIFF", exif=exif(1)), "a").others == ()


def test_grey_photographs_are_converted_though_profiles_are_kept(pixels):
    found = decode_photograph(saved(pixels[:, :, 0], "PNG", icc_profile=GREY), "a", keep_profile=True)
    assert (found.metadata.icc, found.converted_from) == (None, "Grey")


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_the_orientation_of_exif_changes(order):
    """Notes of a camera's maker hold offsets: nothing may move."""
    entries = [
        (0x010E, 2, 4, b"abc\0"),
        (ORIENTATION, 3, 1, struct.pack(f"{order}2H", 8, 0)),
        (0x9999, 7, 4, b"\1\2\3\4"),
    ]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(struct.pack(f"{order}2HI", *entry[:3]) + entry[3] for entry in entries)
    data = mark + struct.pack(f"{order}IH", 8, len(entries)) + body + struct.pack(f"{order}I", 0) + b"notes"
    found = upright(b"Exif\0\0" + data)
    changed = [at for at, (a, b) in enumerate(zip(data, found, strict=True)) if a != b]
    assert len(changed) == 1
    assert opened_orientation(found) == 1


def opened_orientation(data):
    tags = Image.Exif()
    tags.load(data)
    return tags[ORIENTATION]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\x08\0\x09\x01\x12\0\x03",
        b"junk" * 9,
    ],
)
def test_damaged_exif_is_left_alone(data):
    assert upright(data) == data


@pytest.mark.parametrize(
    ("keep", "kinds", "dropped"),
    [
        (("icc", "exif", "xmp"), {"icc", "exif", "xmp"}, ()),
        (("icc",), {"icc"}, ("EXIF", "XMP")),
        ((), set(), ("EXIF", "XMP")),
    ],
)
def test_a_file_keeps_what_is_asked_for_and_says_what_it_drops(codec, pixels, keep, kinds, dropped):
    photograph = decode_photograph(saved(pixels, "JPEG", icc_profile=ICC, exif=exif(), xmp=XMP), "a", keep_profile=True)
    data, coded = compress_photograph(codec, photograph, keep=keep)
    assert {name for name, _ in read_info(data).metadata.items()} == kinds
    assert coded.dropped == (*dropped,)
    pixels = photograph.pixels
    if "icc" not in keep:
        assert coded.converted_from == "Display P3"
        pixels = converted(photograph).pixels
        assert (pixels != photograph.pixels).any()
    bare = codec.compress(pixels)
    assert len(data) - len(bare) < read_info(data).metadata.size + 4 * len(kinds) + 5
    assert (codec.decompress(data) == codec.decompress(bare)).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_it_comes_out_again(codec, pixels, suffix):
    metadata = Metadata(icc=ICC, exif=upright(exif()), xmp=XMP)
    data = codec.compress(pixels, metadata=metadata)
    written, coded = decompress_data(codec, data, suffix)
    assert coded.dropped == ()
    picture = opened(written)
    assert picture.info["icc_profile"] == ICC
    assert (picture.getexif()[MAKE], picture.getexif().get(ORIENTATION, 1)) == ("Maker", 1)
    assert (np.asarray(picture) == codec.decompress(data)).all()
    again = decode_photograph(written, "a", keep_profile=True)
    assert (again.metadata.icc, again.metadata.xmp) == (ICC, XMP)


@pytest.mark.parametrize("suffix", [".ppm", ".bmp"])
def test_formats_without_profiles_get_srgb(codec, pixels, suffix):
    data = codec.compress(pixels, metadata=Metadata(icc=ICC, xmp=XMP))
    written, coded = decompress_data(codec, data, suffix)
    assert (coded.dropped, coded.converted_from) == (("XMP",), "Display P3")
    found = np.asarray(opened(written)).astype(int)
    assert np.abs(found - in_srgb(codec.decompress(data), SRGB_CURVE, DISPLAY_P3)).max() <= 2


def test_a_tiff_is_stored_as_its_own_tags_say(codec, pixels):
    """EXIF of a camera's TIFF says how that one was stored, which must not get into the one that is written."""
    tags = Image.Exif()
    tags.update({256: 4000, 257: 3000, 262: 6, 278: 0, 338: 1, 339: 3, MAKE: "Maker"})
    tags.get_ifd(0x8769)[0x9003] = "2026:11:29 12:00:00"
    data = codec.compress(pixels, metadata=Metadata(exif=upright(tags.tobytes())))
    written, coded = decompress_data(codec, data, ".tif")
    assert coded.dropped == ()
    picture = opened(written)
    assert (np.asarray(picture) == codec.decompress(data)).all()
    assert picture.getexif()[MAKE] == "Maker"
    assert picture.getexif().get_ifd(0x8769)[0x9003] == "2026:11:29 12:00:00"


@pytest.mark.parametrize("exif", [b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + bytes(40)])
def test_damaged_exif_is_left_out_of_a_tiff(codec, pixels, exif, recwarn):
    data = codec.compress(pixels, metadata=Metadata(exif=exif))
    written, coded = decompress_data(codec, data, ".tif")
    assert (np.asarray(opened(written)) == codec.decompress(data)).all()
    assert coded.dropped in ((), ("EXIF",))
    assert not recwarn.list


def test_exif_is_stored_without_the_prefix_of_a_jpeg(codec, pixels):
    with pytest.raises(ImageError, match="EXIF must be a TIFF structure"):
        codec.compress(pixels, metadata=Metadata(exif=exif()))


@pytest.mark.parametrize(
    "text", ['<x tiff:Orientation="6"/>', "<tiff:Orientation>8</tiff:Orientation>", "<x tiff:Orientation = '3'/>"]
)
def test_the_orientation_of_xmp_is_applied_once(codec, pixels, text):
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{text}</x:xmpmeta>'.encode()
    data = saved(pixels, "JPEG", xmp=xmp, quality=95)
    found = decode_photograph(data, "a", keep_profile=True)
    assert b"1" in found.metadata.xmp[30:]
    assert not any(digit in found.metadata.xmp[30:] for digit in b"368")
    written, _ = decompress_data(codec, codec.compress(found.pixels, metadata=found.metadata), ".png")
    assert decode_photograph(written, "a").pixels.shape == found.pixels.shape


def test_xmp_after_the_pixels_of_a_png_is_found(pixels):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    whole = saved(pixels, "PNG", pnginfo=text, exif=exif(1))
    at = whole.index(b"iTXt") - 4
    length = struct.unpack_from(">I", whole, at)[0] + 12
    end = whole.index(b"IEND") - 4
    moved = whole[:at] + whole[at + length : end] + whole[at : at + length] + whole[end:]
    assert decode_photograph(moved, "a").metadata.xmp == XMP


def test_a_damaged_profile_is_carried_but_cannot_be_converted(codec, pixels):
    data = codec.compress(pixels, metadata=Metadata(icc=b"no profile"))
    assert opened(decompress_data(codec, data, ".png")[0]).info["icc_profile"] == b"no profile"
    with pytest.raises(ImageError, match="its colour profile is damaged"):
        decompress_data(codec, data, ".ppm")


def test_too_much_is_refused(codec, pixels):
    with pytest.raises(ImageError, match="outside the limit of 16 MiB"):
        codec.compress(pixels, metadata=Metadata(xmp=bytes(MAX_METADATA)))


def test_metadata_count_towards_a_size(bundle_path, pixels):
    from elic_runtime import Target

    codec = Codec.load(bundle_path)
    size = len(codec.compress(pixels)) + 400
    data = codec.compress_to(pixels, Target("bytes", size), metadata=Metadata(xmp=bytes(500)))
    assert len(data) <= size


def test_pixels_alone_have_no_metadata(codec, pixels):
    assert read_info(codec.compress(pixels)).metadata == Metadata()
    assert "icc_profile" not in opened(encode_image(pixels, ".png")).info
