"""The geometry of windows: cores cover an image, and lie within their windows with a halo but at true borders."""

import numpy as np
import pytest
from elic_runtime import BundleError
from elic_runtime.entries import Reach
from elic_runtime.shapes import Extent
from elic_runtime.subgraphs import Tensor
from elic_runtime.windows import Windows, halo_of_transform
from hypothesis import assume, given
from hypothesis import strategies as st

PIXELS = Tensor(1, 1)
"""A tensor whose rows and columns are pixels."""

sides = st.integers(0, 150)


@st.composite
def windows(draw):
    """Windows that have room for a core, of graphs of a fixed shape or of a range."""
    step = draw(st.sampled_from([16, 32, 64]))
    high = [64 * draw(st.integers(1, 16)) for _ in "hw"]
    low = [64 * draw(st.integers(1, n // 64)) for n in high] if draw(st.booleans()) else high
    extent = Extent.model_validate(
        {end: dict(zip(("height", "width"), size, strict=True)) for end, size in (("min", low), ("max", high))}
    )
    found = Windows("g", extent, Reach(top=draw(sides), bottom=draw(sides), left=draw(sides), right=draw(sides)), step)
    assume(found.room)
    return found


def blocks(low):
    return st.integers(low // 64, low // 64 + 30).map(lambda n: 64 * n)


@given(st.data())
def test_cores_cover_an_image_once_and_have_their_halo(data):
    chosen = data.draw(windows())
    height, width = (data.draw(blocks(low)) for low in (chosen.extent.min.height, chosen.extent.min.width))
    covered = np.zeros((height, width), np.uint8)
    for window in chosen.over(height, width):
        assert chosen.extent.holds(*window.shape)
        covered[window.core(PIXELS)] += 1
        axes = ((window.rows, height, "top", "bottom"), (window.columns, width, "left", "right"))
        for span, size, before, after in axes:
            assert 0 <= span.start <= span.first < span.last <= span.stop <= size
            assert span.first - span.start >= getattr(chosen.halo, before) or span.start == 0
            assert span.stop - span.last >= getattr(chosen.halo, after) or span.stop == size
            assert span.start % chosen.step == span.first % chosen.step == 0
    assert (covered == 1).all()


@given(windows(), st.integers(1, 10), st.integers(1, 10))
def test_what_fits_is_one_window_without_a_halo(chosen, height, width):
    height, width = min(64 * height, chosen.extent.max.height), min(64 * width, chosen.extent.max.width)
    (window,) = chosen.over(height, width)
    assert window.core(PIXELS) == window.area(PIXELS) == (..., slice(0, height), slice(0, width))


@given(st.data())
def test_what_is_kept_of_a_window_is_its_core(data):
    """Positions of the whole, cut and cut again, for tensors of every stride."""
    chosen = data.draw(windows())
    height, width = (data.draw(blocks(low)) for low in (chosen.extent.min.height, chosen.extent.min.width))
    stride = 16 if chosen.step < 64 else 64
    tensor = Tensor(1, stride, packed=chosen.step == 32)
    shape = height // stride, width // (stride * (2 if tensor.packed else 1))
    whole = np.arange(shape[0] * shape[1]).reshape(shape)
    for window in chosen.over(height, width):
        assert (whole[window.area(tensor)][window.kept(tensor)] == whole[window.core(tensor)]).all()


def test_graphs_of_a_range_get_the_shortest_windows_that_are_few_enough():
    extent = Extent.model_validate({"min": {"height": 64, "width": 64}, "max": {"height": 512, "width": 512}})
    halo = Reach(top=48, bottom=48, left=48, right=48)
    shapes = {window.shape for window in Windows("g", extent, halo, 16).over(512, 576)}
    assert shapes == {(512, 384)}
    fixed = Windows("g", Extent.one(512, 512), halo, 16).over(512, 576)
    assert {window.shape for window in fixed} == {(512, 512)}


@pytest.mark.parametrize("halo", [None, Reach(top=100, bottom=64, left=100, right=64)])
def test_graphs_without_room_say_so(halo):
    chosen = Windows("g_a", Extent.one(128, 128), halo, 16)
    assert not chosen.room
    assert len(chosen.over(128, 128)) == 1
    with pytest.raises(BundleError, match="g_a takes 128x128, which is too small for windows of a larger image"):
        chosen.over(192, 128)


def test_the_halo_of_a_transform_is_no_more_than_it_sees():
    seen = Reach(top=132, bottom=20, left=132, right=20)
    assert halo_of_transform(3, seen) == Reach(top=48, bottom=20, left=48, right=20)
    assert halo_of_transform(2, None) == Reach(top=32, bottom=32, left=32, right=32)
