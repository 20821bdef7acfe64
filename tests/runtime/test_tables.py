import copy
import dataclasses

import numpy as np
import pytest
import torch
from elic_export.exact.deployment import deploy_float
from elic_runtime import BundleError
from elic_runtime.bundle import Bundle
from elic_runtime.tables import CdfTables, read_tables, write_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def tables(bundle_path):
    return Bundle(bundle_path).tables()


def test_scale_indexes_of_float_arithmetic_are_compressais(checkpoint, float_deployment):
    """At every level, a float step to either side, below the bound, above the table, and anywhere."""
    tables = float_deployment.tables
    levels = tables.scale_table
    random = np.exp(np.random.default_rng(0).uniform(np.log(1e-3), np.log(1e3), 100_000)).astype(np.float32)
    scales = np.concatenate(
        [levels, np.nextafter(levels, np.float32(0)), np.nextafter(levels, np.float32(1e9)), random, [-1.0, 0.0, 0.11]]
    ).astype(np.float32)
    expected = checkpoint.model.gaussian_conditional.build_indexes(torch.from_numpy(scales))
    assert (tables.scale_indexes(scales) == expected.numpy()).all()
    assert tables.scale_indexes(scales.reshape(1, -1, 1)).shape == (1, len(scales), 1)


def test_exact_arithmetic_takes_the_nearest_level_of_a_grid(tables):
    """On a logarithmic scale; medians are on a grid too."""
    assert (tables.scale_thresholds * 256 == np.rint(tables.scale_thresholds * 256)).all()
    assert (tables.medians * 64 == np.rint(tables.medians * 64)).all()
    assert (tables.scale_indexes(tables.scale_table) == np.arange(64)).all()
    grid = np.arange(1, 300 * 256, 7, dtype=np.float32) / 256
    nearest = np.abs(np.log(grid)[:, None] - np.log(tables.scale_table)).argmin(axis=1)
    assert (tables.scale_indexes(grid) == nearest).all()


def test_levels_below_compressais_bound_are_never_taken(checkpoint):
    """A scale is raised to the bound first, which is above those levels: their thresholds are all exceeded."""
    model = copy.deepcopy(checkpoint.model)
    model.gaussian_conditional.lower_bound_scale.bound.fill_(0.15)
    tables = deploy_float(dataclasses.replace(checkpoint, model=model)).tables
    assert (tables.scale_table < 0.15).sum() > 2
    scales = np.geomspace(0.01, 300, 1000).astype(np.float32)
    expected = model.gaussian_conditional.build_indexes(torch.from_numpy(scales))
    assert (tables.scale_indexes(scales) == expected.numpy()).all()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_looked_up_scale_indexes_are_those_of_a_search(tables, scales):
    """At any float, and around every threshold."""
    thresholds = tables.scale_thresholds
    near = [np.nextafter(thresholds, np.float32(end)) for end in (-np.inf, np.inf)]
    scales = np.concatenate([np.array(scales, np.float32), thresholds, *near, [-0.0, 1e30, -1e30]]).astype(np.float32)
    assert tables._levels_by_cell is not None
    assert (tables.scale_indexes(scales) == np.searchsorted(thresholds, scales)).all()


@pytest.mark.parametrize(
    "spoil",
    [lambda t: np.minimum(t, t[3]), lambda t: t - 1, lambda t: t * 16],
    ids=["equal", "negative", "large"],
)
def test_thresholds_that_no_table_holds_are_searched(tables, spoil):
    spoiled = dataclasses.replace(tables, scale_thresholds=spoil(tables.scale_thresholds).astype(np.float32))
    scales = np.linspace(-2, 4400, 80_000, dtype=np.float32)
    assert spoiled._levels_by_cell is None
    assert (spoiled.scale_indexes(scales) == np.searchsorted(spoiled.scale_thresholds, scales)).all()


def test_equal_tables_give_equal_bytes(tables, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_tables(tmp_path / name, tables)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file at all"])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "tables.npz"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="not entropy tables"):
        read_tables(path)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "tables.npz"
    np.savez(path, y_cdfs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="not entropy tables"):
        read_tables(path)


@pytest.mark.parametrize(
    "row",
    [[0, 5, 5, 65536], [0, 9, 5, 65536], [1, 5, 9, 65536], [0, 5, 9, 65535]],
    ids=["flat", "back", "start", "end"],
)
def test_rows_that_are_no_distribution_are_refused(row):
    tables = CdfTables(np.array([row], np.int32), np.array([4], np.int32), np.array([0], np.int32))
    with pytest.raises(BundleError, match="row 0 of y is not a distribution"):
        tables.check("y")


@pytest.mark.parametrize("lengths", [[2], [5], [4, 4], []])
def test_lengths_that_do_not_fit_are_refused(lengths):
    cdfs = np.array([[0, 5, 9, 65536]], np.int32)
    with pytest.raises(BundleError, match=r"do not fit together|out of bounds"):
        CdfTables(cdfs, np.array(lengths, np.int32), np.array([0], np.int32)).check("y")


@pytest.mark.parametrize(
    "change",
    [
        {"y_lengths": np.ones(64)},
        {"y_offsets": np.full(64, 2**31 - 1, np.int32)},
        {"y_cdfs": np.zeros(5, np.int32)},
        {"scale_table": np.float32(1)},
        {"scale_table": np.full(64, np.nan, np.float32)},
        {"scale_table": np.linspace(9, 1, 64, dtype=np.float32)},
        {"scale_thresholds": np.zeros(64, np.float32)},
        {"scale_thresholds": np.linspace(9, 1, 63, dtype=np.float32)},
        {"medians": np.zeros(191, np.float32)},
        {"medians": np.zeros(192)},
        {"medians": np.full(192, np.inf, np.float32)},
        {"medians": np.array(["a"] * 192)},
    ],
    ids=lambda change: " ".join(f"{n} {a.dtype} {a.shape}" for n, a in change.items()),
)
def test_arrays_that_cannot_code_are_refused(tables, tmp_path, change):
    np.savez(tmp_path / "tables.npz", **tables.arrays() | change)
    with pytest.raises(BundleError, match="entropy tables") as error:
        read_tables(tmp_path / "tables.npz")
    assert "\n" not in str(error.value)


def test_a_zip_that_declares_more_than_tables_hold_is_refused(tmp_path):
    path = tmp_path / "tables.npz"
    np.savez_compressed(path, y_cdfs=np.zeros(20_000_000, np.int32))
    with pytest.raises(BundleError, match="larger than the arrays of any bundle"):
        read_tables(path)
