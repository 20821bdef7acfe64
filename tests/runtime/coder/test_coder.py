import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from elic_runtime import CoderError
from elic_runtime.bundle import Bundle
from elic_runtime.coder import NativeCoder, PlainCoder, make_coder, native
from elic_runtime.tables import CdfTables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INT32 = np.iinfo(np.int32)

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
"""Streams of docs/format.md, for coders that others write."""

TABLES = CdfTables(
    np.array([[0, 6000, 59536, 65536, 0], [0, 9000, 32768, 56536, 65536]], np.int32),
    np.array([4, 5], np.int32),
    np.array([-1, -1], np.int32),
)


@pytest.fixture(scope="module")
def y_tables(bundle_path) -> CdfTables:
    return Bundle(bundle_path).tables().y


@pytest.fixture(params=[NativeCoder, PlainCoder], ids=["C", "Python"])
def coder(request):
    return request.param()


def laplace(tables, n, seed):
    """Symbols as an image has them: spread by their level, most of them zeros, some far out of range."""
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(tables.lengths), n).astype(np.uint16)
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
    indexes = np.array([i for _, i in pairs], np.uint16)
    data = coder.encode(symbols, indexes, y_tables)
    decoded = coder.decode(data, indexes, y_tables)
    assert decoded.dtype == np.int32
    assert decoded.tolist() == symbols.tolist()


def test_compressais_bytes_are_those_of_its_own_model(coder, checkpoint, y_tables):
    """Both ways: CompressAI decodes ours, and we decode CompressAI's."""
    import torch

    conditional = checkpoint.model.gaussian_conditional
    symbols, indexes = laplace(y_tables, 5_000, seed=2)
    tensors = [torch.from_numpy(a.astype(np.int32))[None, None] for a in (symbols, indexes)]
    (theirs,) = conditional.compress(tensors[0].float(), tensors[1])
    assert coder.encode(symbols, indexes, y_tables) == theirs
    assert (coder.decode(theirs, indexes, y_tables) == symbols).all()


@pytest.mark.parametrize("vector", VECTORS["streams"], ids=lambda vector: vector["name"])
def test_streams_of_the_specification(coder, vector):
    """Other bytes here would be a new format version."""
    rows = [row["cdf"] for row in VECTORS["rows"]]
    longest = max(map(len, rows))
    tables = CdfTables(
        np.array([row + [0] * (longest - len(row)) for row in rows], np.int32),
        np.array([len(row) for row in rows], np.int32),
        np.array([row["offset"] for row in VECTORS["rows"]], np.int32),
    )
    symbols, indexes = np.array(vector["symbols"], np.int32), np.array(vector["rows"], np.uint16)
    assert coder.encode(symbols, indexes, tables).hex() == vector["stream"]
    assert coder.decode(bytes.fromhex(vector["stream"]), indexes, tables).tolist() == symbols.tolist()


def test_the_specification_shows_a_vector():
    page = (Path(__file__).parents[3] / "docs/format.md").read_text()
    (shown,) = (vector for vector in VECTORS["streams"] if vector["name"] == "two rows, two escapes")
    assert " ".join(shown["stream"][i : i + 8] for i in range(0, 24, 8)) in page
    assert " ".join(map(str, shown["symbols"])) in page


def test_the_two_coders_write_the_same_bytes(y_tables):
    for seed in range(30):
        symbols, indexes = laplace(y_tables, 40 * seed, seed=100 + seed)
        assert NativeCoder().encode(symbols, indexes, y_tables) == PlainCoder().encode(symbols, indexes, y_tables)


def test_the_two_coders_read_the_same_from_damaged_streams(y_tables):
    """Either both refuse a stream with the same words, or both return the same symbols."""
    symbols, indexes = laplace(y_tables, 60, seed=7)
    data = NativeCoder().encode(symbols, indexes, y_tables)
    rng = np.random.default_rng(8)
    results = set()
    for _ in range(400):
        damaged = bytearray(data[: len(data) - 4 * int(rng.integers(0, 2))])
        damaged[int(rng.integers(0, len(damaged)))] ^= int(rng.integers(1, 256))
        native_result, plain_result = (_outcome(c, bytes(damaged), indexes, y_tables) for c in _both())
        assert native_result == plain_result
        results.add(native_result if isinstance(native_result, str) else "symbols")
    assert len(results) >= 3


def _both():
    return NativeCoder(), PlainCoder()


def _outcome(coder, data, indexes, tables):
    try:
        return coder.decode(data, indexes, tables).tolist()
    except CoderError as error:
        return str(error)


def test_extreme_states_are_divided_exactly(coder):
    """Frequencies of 1 and nearly 2**16, and long runs: the quotient in rans.c is computed in floating point."""
    tables = CdfTables(
        np.array([[0, 65534, 65535, 65536], [0, 1, 2, 65536], [0, 1, 65535, 65536]], np.int32),
        np.array([4, 4, 4], np.int32),
        np.array([0, 0, 0], np.int32),
    )
    rng = np.random.default_rng(9)
    for rare in (0.001, 0.5, 0.999):
        indexes = rng.integers(0, 3, 20_000).astype(np.uint16)
        symbols = (rng.random(20_000) < rare).astype(np.int32)
        data = coder.encode(symbols, indexes, tables)
        assert data == PlainCoder().encode(symbols, indexes, tables)
        assert (coder.decode(data, indexes, tables) == symbols).all()


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
    indexes = rng.integers(0, 64, 2000).astype(np.uint16)
    for size in (0, 1, 4, 7, 8, 12, 400, 40_000):
        with pytest.raises(CoderError):
            coder.decode(rng.bytes(size), indexes, y_tables)
        with pytest.raises(CoderError):
            coder.decode(b"\xff" * size, indexes, y_tables)


@pytest.mark.parametrize("symbol", [INT32.min, INT32.max, -(1 << 28), 1 << 28])
def test_values_too_far_out_of_range_are_refused(coder, y_tables, symbol):
    """CompressAI's own encoder never returns from these."""
    with pytest.raises(CoderError, match="too far out of range"):
        coder.encode(np.array([symbol], np.int32), np.zeros(1, np.uint16), y_tables)


def test_short_streams_are_compressais(coder, y_tables):
    """From four symbols on: for fewer, CompressAI's encoder writes outside of its buffer."""
    from compressai import ans

    for seed in range(20):
        symbols, indexes = laplace(y_tables, 4 + seed, seed)
        theirs = ans.RansEncoder().encode_with_indexes(
            symbols.tolist(),
            indexes.tolist(),
            *(a.tolist() for a in (y_tables.cdfs, y_tables.lengths, y_tables.offsets)),
        )
        assert coder.encode(symbols, indexes, y_tables) == theirs


def test_nothing_takes_a_word(coder, y_tables):
    empty = np.empty(0, np.int32), np.empty(0, np.uint16)
    data = coder.encode(*empty, y_tables)
    assert len(data) <= 8
    assert coder.decode(data, empty[1], y_tables).shape == (0,)


@pytest.mark.parametrize("change", ["lengths", "offsets", "cdfs", "ends"])
def test_tables_that_are_no_distributions_are_refused_by_the_coder_in_c(change):
    """A bundle's tables are checked when they are read; C checks them again, so that nothing depends on its callers."""
    cdfs, lengths, offsets = TABLES.cdfs.copy(), TABLES.lengths.copy(), TABLES.offsets.copy()
    if change == "lengths":
        lengths[0] = 6
    elif change == "offsets":
        offsets[1] = 1 << 30
    elif change == "cdfs":
        cdfs[1, 2] = cdfs[1, 1]
    else:
        cdfs[1, 4] = 65535
    with pytest.raises(CoderError, match="not distributions"):
        NativeCoder().decode(bytes(8), np.zeros(1, np.uint16), CdfTables(cdfs, lengths, offsets))


def test_rows_that_do_not_exist_are_refused_by_the_coder_in_c():
    symbols, indexes = np.zeros(3, np.int32), np.array([0, 1, 2], np.uint16)
    with pytest.raises(CoderError, match="row that the tables do not have"):
        NativeCoder().encode(symbols, indexes, TABLES)
    with pytest.raises(CoderError, match="row that the tables do not have"):
        NativeCoder().decode(bytes(400), indexes, TABLES)
    with pytest.raises(CoderError, match="3 symbols have 2 rows"):
        NativeCoder().encode(symbols, indexes[:2], TABLES)


def test_arrays_that_would_wrap_are_refused_by_the_coder_in_c():
    with pytest.raises(TypeError, match="Cannot cast"):
        NativeCoder().encode(np.zeros(1, np.int32), np.array([65536]), TABLES)
    with pytest.raises(TypeError, match="Cannot cast"):
        NativeCoder().encode(np.zeros(1, np.int64), np.zeros(1, np.uint16), TABLES)


def test_random_streams_never_leave_their_buffers(tmp_path):
    """rans.c with AddressSanitizer and UBSan; `fuzz_rans.c` says how to run it for longer."""
    program, source = tmp_path / "fuzz_rans", Path(__file__).with_name("fuzz_rans.c")
    flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    subprocess.run(["cc", *flags, "-o", program, source], check=True)
    done = subprocess.run([program, "300000", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300000 streams" in done.stdout


def test_threads_share_a_coder(y_tables):
    coder = NativeCoder()
    cases = [laplace(y_tables, 20_000, seed=20 + i) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        streams = list(pool.map(lambda case: coder.encode(*case, y_tables), cases))
        decoded = list(pool.map(lambda job: coder.decode(job[0], job[1][1], y_tables), zip(streams, cases)))  # noqa: B905
    assert all((found == symbols).all() for found, (symbols, _) in zip(decoded, cases, strict=True))


def test_without_the_library_the_coder_in_python_runs_and_says_so(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "absent.so")
    monkeypatch.setattr("elic_runtime.coder.LIBRARY", tmp_path / "absent.so")
    native.load_library.cache_clear()
    make_coder.cache_clear()
    try:
        assert [make_coder().name for _ in range(3)] == ["Python"] * 3
    finally:
        native.load_library.cache_clear()
        make_coder.cache_clear()
    (record,) = caplog.records
    assert "no C compiler was found" in record.message


def test_the_library_runs_here():
    assert make_coder().name == "C"
