import numpy as np
import pytest
from elic_export.exact.calibration import calibrate, crops_of
from elic_export.yaml_file import DEPLOY_CONFIGS


@pytest.mark.slow
def test_the_stored_calibration_is_that_of_the_shipped_photographs(trained_checkpoint, trained_calibration):
    now = calibrate(trained_checkpoint.model, crops_of(DEPLOY_CONFIGS / "calibration"))
    assert now.peaks.keys() == trained_calibration.peaks.keys()
    for name, peak in now.peaks.items():
        # Peaks are rounded up to 8 bits: another order of sums may round one to the next.
        np.testing.assert_allclose(peak, trained_calibration.peaks[name], rtol=2**-7, err_msg=name)
    stored = trained_calibration.head.weights
    # A latent near a half may be rounded to the other side by another order of sums, and moves the head a little.
    np.testing.assert_allclose(now.head.weights, stored, atol=1e-3 * np.abs(stored).max())
