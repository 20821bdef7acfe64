"""A JPEG without its end marker is a photograph; one that lacks pixels is not."""

import io

import pytest
from damage import survives_damage
from elic_runtime import ImageError
from elic_runtime.images import decode_photograph
from PIL import Image


def saved(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def decode(data):
    return decode_photograph(data, "a.jpg").pixels


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("grey", [False, True])
def test_without_the_end_marker(cat, quality, grey):
    pixels = cat[100:149, 150:231]
    data = saved(pixels[:, :, 0] if grey else pixels, quality=quality)
    picture = decode(data)
    for missing in (1, 2):
        assert (decode(data[:-missing]) == picture).all()
    refused = 0
    for missing in (*range(3, 40), len(data) // 3, len(data) // 2):
        try:
            # What lacks a byte of padding, or of a coefficient that rounds to nothing, is the same picture.
            assert (decode(data[:-missing]) == picture).all()
        except ImageError:
            refused += 1
    assert refused >= 37


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 2}])
def test_where_more_than_the_marker_may_be_missing_it_is_refused(cat, options):
    """At the end of a scan or a restart interval nothing tells whether another follows."""
    data = saved(cat[100:149, 150:231], **options)
    decode(data)
    with pytest.raises(ImageError, match="truncated"):
        decode(data[:-2])


def test_damage_is_refused_or_harmless(cat):
    assert survives_damage(saved(cat[100:120, 150:190]), first=2)
