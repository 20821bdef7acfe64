import numpy as np
import pytest
from elic_runtime import CoderError
from elic_runtime.bundle import Bundle
from elic_runtime.coder import CODERS, make_coder
from elic_runtime.tables import CdfTables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INT32 = np.iinfo(np.int32)

GOLDEN = "9091dcf12ad15002"
"""Seven symbols by two rows, two of them escaped."""


@pytest.fixture(scope="module")
def y_tables(bundle_path) -> CdfTables:
    return Bundle(bundle_path).tables().y


@pytest.fixture(params=list(CODERS))
def coder(request):
    return make_coder(request.param)


def laplace(tables, n, seed):
    """Symbols as an image has them: spread by their level, most of them zeros, some far out of range."""
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(tables.lengths), n).astype(np.uint8)
    symbols = np.rint(rng.laplace(size=n) * np.exp(indexes / 9) * 0.1).astype(np.int32)
    far = rng.random(n) < 0.01
    symbols[far] = rng.integers(-(1 << 20), 1 << 20, far.sum())
    return symbols, indexes


def test_round_trip_of_many_symbols(coder, y_tables):
    symbols, indexes = laplace(y_tables, 50_000, seed=1)
    data = coder.encode(symbols, indexes, y_tables)
    assert (coder.decode(data, indexes, y_tables) == symbols).all()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(
        st.tuples(st.one_of(st.integers(-3, 3), st.integers(-(1 << 26), 1 << 26)), st.integers(0, 63)), max_size=40
    )
)
def test_any_symbols_round_trip(coder, y_tables, pairs):
    symbols = np.array([s for s, _ in pairs], np.int32)
    indexes = np.array([i for _, i in pairs], np.uint8)
    data = coder.encode(symbols, indexes, y_tables)
    decoded = coder.decode(data, indexes, y_tables)
    assert decoded.dtype == np.int32
    assert decoded.tolist() == symbols.tolist()


def test_compressais_bytes_are_those_of_its_own_model(checkpoint, y_tables):
    """Both ways: CompressAI decodes ours, and we decode CompressAI's."""
    import torch

    conditional = checkpoint.model.gaussian_conditional
    symbols, indexes = laplace(y_tables, 5_000, seed=2)
    tensors = [torch.from_numpy(a.astype(np.int32))[None, None] for a in (symbols, indexes)]
    (theirs,) = conditional.compress(tensors[0].float(), tensors[1])
    coder = make_coder("compressai")
    assert coder.encode(symbols, indexes, y_tables) == theirs
    assert (coder.decode(theirs, indexes, y_tables) == symbols).all()


def test_constriction_writes_the_bytes_it_always_wrote():
    """A stream of docs/format.md: other bytes here would be a new format version."""
    tables = CdfTables(
        np.array([[0, 6000, 59536, 65536, 0], [0, 9000, 32768, 56536, 65536]], np.int32),
        np.array([4, 5], np.int32),
        np.array([-1, -1], np.int32),
    )
    symbols = np.array([0, -1, 0, 1, 7, 0, -300], np.int32)
    indexes = np.array([0, 0, 0, 1, 1, 0, 0], np.uint8)
    data = make_coder("constriction").encode(symbols, indexes, tables)
    assert data.hex() == GOLDEN
    assert make_coder("constriction").decode(bytes.fromhex(GOLDEN), indexes, tables).tolist() == symbols.tolist()


def test_every_truncation_is_noticed(coder, y_tables):
    symbols, indexes = laplace(y_tables, 300, seed=3)
    data = coder.encode(symbols, indexes, y_tables)
    for size in range(len(data)):
        with pytest.raises(CoderError):
            coder.decode(data[:size], indexes, y_tables)


def test_damage_is_noticed_or_gives_symbols_but_never_crashes(coder, y_tables):
    """Streams carry no checksum: the container's do. What must hold here is memory and types."""
    symbols, indexes = laplace(y_tables, 300, seed=4)
    data = bytearray(coder.encode(symbols, indexes, y_tables))
    rng = np.random.default_rng(5)
    noticed = 0
    for _ in range(300):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[at] ^= int(rng.integers(1, 256))
        try:
            decoded = coder.decode(bytes(damaged), indexes, y_tables)
            assert decoded.shape == symbols.shape
        except CoderError:
            noticed += 1
    assert noticed > 290


def test_random_bytes_never_crash(coder, y_tables):
    rng = np.random.default_rng(6)
    indexes = rng.integers(0, 64, 2000).astype(np.uint8)
    for size in (0, 1, 4, 7, 8, 12, 400, 40_000):
        with pytest.raises(CoderError):
            coder.decode(rng.bytes(size), indexes, y_tables)
        with pytest.raises(CoderError):
            coder.decode(b"\xff" * size, indexes, y_tables)


@pytest.mark.parametrize("symbol", [INT32.min, INT32.max, -(1 << 28), 1 << 28])
def test_values_too_far_out_of_range_are_refused(coder, y_tables, symbol):
    """CompressAI's own encoder never returns from these."""
    with pytest.raises(CoderError, match="too far out of range"):
        coder.encode(np.array([symbol], np.int32), np.zeros(1, np.uint8), y_tables)


def test_short_streams_are_compressais(y_tables):
    """From four symbols on: for fewer, CompressAI's encoder writes outside of its buffer."""
    from compressai import ans

    for seed in range(20):
        symbols, indexes = laplace(y_tables, 4 + seed, seed)
        theirs = ans.RansEncoder().encode_with_indexes(
            symbols.tolist(),
            indexes.tolist(),
            *(a.tolist() for a in (y_tables.cdfs, y_tables.lengths, y_tables.offsets)),
        )
        assert make_coder("compressai").encode(symbols, indexes, y_tables) == theirs


def test_nothing_takes_a_word(coder, y_tables):
    empty = np.empty(0, np.int32), np.empty(0, np.uint8)
    data = coder.encode(*empty, y_tables)
    assert len(data) <= 8
    assert coder.decode(data, empty[1], y_tables).shape == (0,)


def test_unknown_coders_are_refused():
    with pytest.raises(CoderError, match="known are constriction, compressai"):
        make_coder("zip")
