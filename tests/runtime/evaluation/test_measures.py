"""PSNR, MS-SSIM and SSIMULACRA2 of photographs and of what was done to them, against other implementations' numbers."""

import io

import numpy as np
import pytest
import torch
from elic_runtime.evaluation.measures import measure
from elic_runtime.images import read_image
from elic_runtime.metrics import psnr
from PIL import Image
from pytorch_msssim import ms_ssim


def posterized(image):
    return image // 24 * 24 + 12


def smoothed(image):
    height, width = image.shape[:2]
    padded = np.pad(image.astype(int), ((1, 1), (1, 1), (0, 0)), mode="edge")
    return (sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) // 9).astype(np.uint8)


def enlarged(image):
    height, width = image.shape[:2]
    return np.repeat(np.repeat(image[::2, ::2], 2, 0), 2, 1)[:height, :width]


def noisy(image):
    noise = np.random.RandomState(0).randint(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.fixture(scope="module")
def woman(photos):
    """A photograph, uint8 [512, 512, 3]."""
    return read_image(photos / "astronaut.png")


def test_equal_pictures(cat):
    found = measure(cat, cat.copy(), perceptual=True)
    assert (found.psnr_db, found.equal, found.ms_ssim, found.ssimulacra2) == (None, True, 1.0, 100.0)


def test_perceptual_measures_only_on_demand(cat):
    found = measure(cat, jpeg(cat, 50), perceptual=False)
    assert found.psnr_db == psnr(cat, jpeg(cat, 50))
    assert (found.equal, found.ms_ssim, found.ssimulacra2) == (False, None, None)


def test_more_loss_is_measured_as_worse(cat):
    found = [measure(cat, jpeg(cat, quality), perceptual=True) for quality in (90, 30, 5)]
    for name in ("psnr_db", "ms_ssim", "ssimulacra2"):
        values = [getattr(each, name) for each in found]
        assert values[0] > values[1] > values[2]


def reference_ms_ssim(expected, found):
    tensors = [torch.from_numpy(each.transpose(2, 0, 1)[None].astype(np.float32)) for each in (expected, found)]
    return float(ms_ssim(*tensors, data_range=255, size_average=True))


@pytest.mark.parametrize("quality", [90, 30, 5])
@pytest.mark.parametrize("size", [(256, 320), (299, 450), (161, 222)])
def test_ms_ssim_is_that_of_pytorch_msssim(woman, quality, size):
    photograph = woman[: size[0], : size[1]]
    degraded = jpeg(photograph, quality)
    found = measure(photograph, degraded, perceptual=True).ms_ssim
    assert found == pytest.approx(reference_ms_ssim(photograph, degraded), abs=1e-5)


@pytest.mark.parametrize("change", [posterized, smoothed, enlarged, noisy])
def test_ms_ssim_of_other_changes(cat, change):
    found = measure(cat, change(cat), perceptual=True).ms_ssim
    assert found == pytest.approx(reference_ms_ssim(cat, change(cat)), abs=1e-5)


def test_a_negative_is_not_similar_at_all(cat):
    negative = 255 - cat
    assert measure(cat, negative, perceptual=True).ms_ssim == reference_ms_ssim(cat, negative) == 0


def test_ms_ssim_needs_the_size_that_pytorch_msssim_needs(woman):
    for photograph in (woman[:160, :300], woman[:300, :160]):
        assert measure(photograph, jpeg(photograph, 50), perceptual=True).ms_ssim is None
        with pytest.raises(AssertionError, match="larger than 160"):
            reference_ms_ssim(photograph, photograph)
    assert measure(woman[:161, :161], jpeg(woman[:161, :161], 50), perceptual=True).ms_ssim is not None


# Numbers of the reference implementation, github.com/cloudinary/ssimulacra2 at 81feacf (version 2.1), built with GCC 12
# for AVX2, of the same pictures as PNG files.
OF_REFERENCE = {
    ("chelsea.png", 0, 0, 300, 451): (40.193, 64.548, 33.327, 66.028),
    ("astronaut.png", 0, 0, 257, 190): (37.844, 65.562, 44.805, 64.308),
    ("coffee.png", 100, 200, 97, 145): (58.700, 72.501, 61.580, 62.258),  # five scales
    ("chelsea.png", 100, 100, 30, 43): (-8.011, 81.201, 70.928, -2.380),  # three
    ("astronaut.png", 100, 200, 8, 9): (93.515, 84.832, 81.803, 92.677),
}


@pytest.mark.parametrize("part", OF_REFERENCE)
def test_ssimulacra2_is_that_of_its_reference(photos, part):
    name, top, left, height, width = part
    photograph = read_image(photos / name)[top : top + height, left : left + width]
    found = [
        measure(photograph, change(photograph), perceptual=True).ssimulacra2
        for change in (posterized, smoothed, enlarged, noisy)
    ]
    assert found == pytest.approx(OF_REFERENCE[part], abs=0.1)


def test_a_picture_of_a_few_pixels_has_no_ssimulacra2(cat):
    assert measure(cat[:7, :50], 255 - cat[:7, :50], perceptual=True).ssimulacra2 is None
    assert measure(cat[:50, :7], 255 - cat[:50, :7], perceptual=True).ssimulacra2 is None
