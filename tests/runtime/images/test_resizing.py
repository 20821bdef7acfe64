"""Photographs resized as torchvision does it, and sizes as commands take them."""

import numpy as np
import pytest
import torch
from elic_runtime import ElicError, ImageError
from elic_runtime.images.resizing import parse_size, resize
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2

SIZES = [(128, 192), (64, 64), (300, 200), (450, 900), (37, 451)]
"""Smaller, much smaller, one side only, larger, and stretched unevenly; the photograph has 300x451 pixels."""


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_that_of_torchvision(cat, size):
    found = resize(cat, *size)
    assert (found.shape, found.dtype) == ((*size, 3), np.uint8)
    for library in (transforms, v2):
        assert (found == np.asarray(library.Resize(size)(Image.fromarray(cat)))).all()


@pytest.mark.parametrize("size", SIZES)
def test_torchvision_resizes_tensors_alike(cat, size):
    tensor = v2.Resize(size, antialias=True)(torch.from_numpy(cat.copy()).permute(2, 0, 1))
    difference = resize(cat, *size).astype(int) - tensor.permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= 1


def test_fine_patterns_are_averaged_and_do_not_turn_into_others():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    found = resize(stripes, 64, 64)[:, 2:-2]
    assert np.abs(found.astype(int) - 128).max() <= 1


def test_a_size_that_it_has_changes_nothing(cat):
    assert (resize(cat, *cat.shape[:2]) == cat).all()


def test_parts_of_pictures_are_resized_too(cat):
    part = cat[10:200:2, 300:20:-1]
    assert (resize(part, 64, 64) == resize(np.ascontiguousarray(part), 64, 64)).all()


def test_only_pictures_are_resized_and_not_to_any_size(cat):
    with pytest.raises(ImageError, match="an image is a uint8 array"):
        resize(cat[:, :, 0], 64, 64)
    with pytest.raises(ImageError, match="20000x10000 is outside the limit"):
        resize(cat, 10000, 20000)


def test_sizes_are_height_and_width():
    assert parse_size("512x768") == (512, 768)
    assert parse_size("1x65535") == (1, 65535)


@pytest.mark.parametrize(
    "text", ["", "512", "512x", "x512", "0x512", "512x-1", "512X512", "512x512x3", "5 x 5", "5x5\n"]
)
def test_other_texts_are_refused_in_one_line(text):
    with pytest.raises(ElicError, match=r"is no size: expected HEIGHTxWIDTH in pixels, such as 512x768") as refused:
        parse_size(text)
    assert "\n" not in str(refused.value)


def test_sizes_beyond_the_limit_are_refused():
    with pytest.raises(ImageError, match="99999x99999 is outside the limit"):
        parse_size("99999x99999")
