import math

import numpy as np
import pytest
from elic_runtime.metrics import bits, format_psnr, psnr

BLACK = np.zeros((4, 4, 3), np.uint8)


def test_psnr_of_known_pictures():
    assert psnr(BLACK, BLACK + np.uint8(255)) == 0.0
    assert psnr(BLACK + np.uint8(1), BLACK) == psnr(BLACK, BLACK + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


def test_equal_pictures_have_no_finite_psnr():
    assert psnr(BLACK, BLACK) == math.inf
    assert format_psnr(psnr(BLACK, BLACK)) == "equal"


def test_psnr_for_people():
    assert format_psnr(33.456) == "33.46"
    assert format_psnr(33.456, 1) == "33.5"
    assert format_psnr(math.nan) == "nan"
    assert format_psnr(-math.inf) == "-inf"


def test_bits_are_the_ideal_code_length():
    assert bits(np.array([0.5, 0.25], np.float32)) == 3
    assert bits(np.array([0.5, 0], np.float32)) == math.inf
