"""Embedded colours end as sRGB, or the file is refused."""

import io

import numpy as np
import pytest
from elic_runtime import ImageError
from elic_runtime.images import decode_photograph
from PIL import Image, ImageCms
from profiles import ADOBE_RGB, DISPLAY_P3, SRGB, SRGB_CURVE, in_srgb, profile

GAMMA = 563 / 256
"""Adobe RGB's."""

PROFILES = {
    "Display P3": (profile("Display P3", SRGB_CURVE, DISPLAY_P3), SRGB_CURVE, DISPLAY_P3),
    "Adobe RGB (1998)": (profile("Adobe RGB (1998)", GAMMA, ADOBE_RGB), GAMMA, ADOBE_RGB),
}

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def pixels(cat):
    return cat[100:160, 150:240]


def saved(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_other_profiles_are_converted(pixels, name, kind):
    icc, curve, primaries = PROFILES[name]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    found = decode_photograph(saved(pixels, kind, icc_profile=icc, **lossless), "a")
    assert found.converted_from == name
    assert np.abs(found.pixels.astype(int) - in_srgb(pixels, curve, primaries)).max() <= 2
    assert np.abs(found.pixels.astype(int) - pixels).max() > 10


def test_it_is_converted_after_it_is_upright(pixels):
    icc, curve, primaries = PROFILES["Display P3"]
    found = decode_photograph(saved(pixels, "TIFF", icc_profile=icc, tiffinfo={274: 6}), "a").pixels
    assert np.abs(found.astype(int) - np.rot90(in_srgb(pixels, curve, primaries), -1)).max() <= 2


def test_phones_write_jpegs_in_display_p3(pixels):
    icc = PROFILES["Display P3"][0]
    plain = decode_photograph(saved(pixels, "JPEG", quality=95), "a")
    found = decode_photograph(saved(pixels, "JPEG", quality=95, icc_profile=icc), "a")
    assert (plain.converted_from, found.converted_from) == (None, "Display P3")
    assert np.abs(found.pixels.astype(int) - in_srgb(plain.pixels, SRGB_CURVE, DISPLAY_P3)).max() <= 2


def test_srgb_by_any_name_changes_nothing(pixels):
    for icc in (SRGB_PROFILE, profile("my screen", SRGB_CURVE, np.round(SRGB, 4))):
        found = decode_photograph(saved(pixels, icc_profile=icc), "a")
        assert found.converted_from is None
        assert (found.pixels == pixels).all()


def test_palettes_are_converted_too(pixels):
    icc, curve, primaries = PROFILES["Adobe RGB (1998)"]
    palette = Image.fromarray(pixels).quantize(64)
    found = decode_photograph(saved(palette, icc_profile=icc), "a").pixels
    assert np.abs(found.astype(int) - in_srgb(np.asarray(palette.convert("RGB")), curve, primaries)).max() <= 2


def test_grey_pictures(pixels):
    """Of grey profiles, and of RGB profiles, whose greys are grey."""
    grey = pixels[:, :, 0]
    found = decode_photograph(saved(grey, icc_profile=profile("gamma 1.8", 1.8)), "a")
    light = (grey / 255) ** 1.8
    expected = np.rint(255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))
    assert found.converted_from == "gamma 1.8"
    assert np.abs(found.pixels.astype(int) - expected[:, :, None]).max() <= 2
    found = decode_photograph(saved(grey, icc_profile=PROFILES["Display P3"][0]), "a")
    assert np.abs(found.pixels.astype(int) - grey[:, :, None]).max() <= 2
    with pytest.raises(ImageError, match="is for grey images"):
        decode_photograph(saved(pixels, icc_profile=profile("gamma 1.8", 1.8)), "a")


def test_profiles_of_other_spaces_and_damaged_ones_are_refused(pixels):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for icc, message in (
        (lab, "is for Lab images"),
        (b"no profile at all", "profile is damaged"),
        (PROFILES["Display P3"][0][:300], "profile is damaged"),
    ):
        for kind in ("PNG", "JPEG", "TIFF"):
            with pytest.raises(ImageError, match=message):
                decode_photograph(saved(pixels, kind, icc_profile=icc), "a")


def test_adobe_rgb_by_exif_alone(pixels):
    """DCF: cameras put R03 into the interoperability directory, and no profile."""
    for index, refused in (("R98", False), ("R03", True)):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0xA001] = 0xFFFF if refused else 1
        exif.get_ifd(0x8769)[0xA005] = {1: index}
        data = saved(pixels, "JPEG", exif=exif)
        assert index.encode() in data
        if refused:
            with pytest.raises(ImageError, match="EXIF says Adobe RGB"):
                decode_photograph(data, "a")
        else:
            decode_photograph(data, "a")


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_media_files_say_their_colours_in_a_box(pixels, kind):
    data = bytearray(saved(pixels, kind, quality=95))
    plain = decode_photograph(bytes(data), "a").pixels
    assert np.abs(plain.astype(int) - pixels).mean() < 4
    box = data.index(b"colrnclx") + 8
    for primaries, transfer, message in ((9, 16, r"HDR \(PQ\)"), (9, 18, r"HDR \(HLG\)"), (12, 13, "primaries 12")):
        data[box : box + 4] = bytes([0, primaries, 0, transfer])
        with pytest.raises(ImageError, match=message):
            decode_photograph(bytes(data), "a")
