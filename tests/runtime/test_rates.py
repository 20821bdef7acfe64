"""The search for a step, on curves such as real ones."""

import math

import numpy as np
import pytest
from elic_runtime.rates import MAX_TRIALS, Target, UnreachableError, find_step
from hypothesis import given
from hypothesis import strategies as st

STEPS = (0.5, 0.6, 0.75, 1, 1.25, 1.5, 2, 3, 4)
RATES = (1.064, 0.927, 0.798, 0.646, 0.541, 0.463, 0.360, 0.256, 0.2)
PSNRS = (34.0, 33.76, 33.35, 32.51, 31.65, 30.82, 29.32, 27.16, 25.8)
"""Measured: means of eight photographs."""


def curve(values, bend):
    calls = []

    def measure(step):
        calls.append(step)
        return float(np.interp(math.log(step), np.log(STEPS), np.array(values) ** bend))

    return measure, calls


@given(st.floats(0.21, 1.05), st.floats(0.7, 1.4))
def test_sizes_are_found(rate, bend):
    measure, calls = curve(RATES, bend)
    wanted = 20_000 * rate**bend
    step = find_step(Target("bytes", wanted).goal(1), lambda step: 20_000 * measure(step))
    assert len(calls) <= MAX_TRIALS
    size = 20_000 * measure(step)
    assert size <= wanted
    # A step of 1/128 moves the rate by up to 1.5 % where steps are small.
    finer = 20_000 * measure(max(0.5, step - 1 / 128))
    assert size >= 0.99 * wanted or finer > wanted


@given(st.floats(25.9, 33.9))
def test_qualities_are_found(wanted):
    measure, calls = curve(PSNRS, 1)
    step = find_step(Target("psnr", wanted).goal(1), measure)
    assert len(calls) <= 5
    assert measure(step) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize(("rate", "step"), [(0.1, 4.0), (1.2, 0.5)])
def test_what_no_step_gives_is_refused_with_the_nearest(rate, step):
    measure, calls = curve(RATES, 1)
    with pytest.raises(UnreachableError) as refused:
        find_step(Target("bytes", rate).goal(1), measure)
    assert refused.value.step == step
    assert refused.value.value == measure(step)
    assert len(calls) <= 4


def test_pictures_that_come_back_equal_have_no_finite_quality():
    with pytest.raises(UnreachableError) as refused:
        find_step(Target("psnr", 40).goal(1), lambda step: math.inf)
    assert refused.value.step == 4


@given(st.randoms(use_true_random=False), st.floats(0.25, 1.0))
def test_noise_on_the_curve_never_exceeds_a_size(random, rate):
    """Real sizes do not fall at every step."""
    measure, calls = curve(RATES, 1)
    noise = {}

    def noisy(step):
        return measure(step) * noise.setdefault(step, random.uniform(0.995, 1.005))

    step = find_step(Target("bytes", rate).goal(1), noisy)
    assert noisy(step) <= rate
    assert noisy(step) >= 0.96 * rate
    assert len(calls) <= MAX_TRIALS + 2
