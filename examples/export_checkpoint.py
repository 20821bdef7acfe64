"""Export a checkpoint from Python and hold the bundle against PyTorch.

pip install 'elic-deploy[export]'
python examples/export_checkpoint.py CHECKPOINT PHOTOGRAPHS BUNDLE
"""

import sys
from pathlib import Path

import elic_export
from elic_runtime.images import image_files
from elic_runtime.shapes import Extent


def main(checkpoint: str, photographs: str, out: str) -> None:
    """Export graphs of 128x192 pixels (height x width), calibrated on the photographs, and measure parity on one."""
    config = elic_export.ExportConfig(form="static", shape=Extent.one(128, 192), rewrites=("merge_g_a_h_a",))
    bundle = elic_export.export(config, checkpoint, out, calibration=photographs)
    report = elic_export.measure_parity(bundle, image_files(Path(photographs))[0], checkpoint=checkpoint)
    for finding in report.findings:
        print(f"{'pass' if finding.passed else 'FAIL'}  {finding.question}: {finding.measured:.3g}, {finding.worst}")
    if not report.passed:
        sys.exit("error: the bundle is not the model")


if __name__ == "__main__":
    main(*sys.argv[1:])
