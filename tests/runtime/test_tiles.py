import numpy as np
from elic_runtime.tiles import TileGrid
from hypothesis import given
from hypothesis import strategies as st

sizes = st.integers(1, 200)


@given(sizes, sizes, st.sampled_from([64, 128]), st.sampled_from([64, 128]))
def test_cutting_and_joining_gives_the_image(height, width, tile_height, tile_width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    grid = TileGrid(height, width, tile_height, tile_width)
    tiles = list(grid.cut(image))
    assert len(tiles) == grid.tiles == grid.rows * grid.columns
    assert all(tile.shape == (tile_height, tile_width, 3) for tile in tiles)
    assert (grid.join(iter(tiles)) == image).all()


def test_padding_repeats_the_border():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    (tile,) = TileGrid(2, 3, 64, 64).cut(image)
    assert (tile[1:, 2:] == image[1, 2]).all()
    assert (tile[5, :3] == image[1]).all()
