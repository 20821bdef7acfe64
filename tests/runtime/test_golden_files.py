"""A bundle and a file that were written once decode to the same symbols for ever: see `golden/make_golden.py`."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from elic_runtime.runners import onnxruntime_factory
from recording import decoded_symbols

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def golden_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    with zipfile.ZipFile(GOLDEN / "bundle.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 2}, {"threads": 1, "optimize": False}], ids=str)
def test_the_golden_file_decodes_to_the_symbols_of_their_making(golden_bundle, options):
    data = (GOLDEN / "photograph.elic").read_bytes()
    picture, symbols = decoded_symbols(golden_bundle, data, runner=onnxruntime_factory(**options))
    with np.load(GOLDEN / "decoded.npz") as golden:
        assert symbols.dtype == golden["symbols"].dtype
        assert np.array_equal(symbols, golden["symbols"])
        assert np.ptp(golden["symbols"]) > 4
        # g_s is in floats: another processor may round a pixel to the other side.
        off = np.abs(picture.astype(int) - golden["picture"])
    assert picture.shape == (100, 200, 3)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01
