"""What the tests of reports share: one small evaluation, really measured."""

import pytest
from reported import Reported, reported


@pytest.fixture(scope="session")
def report(bundle_path, cat, tmp_path_factory) -> Reported:
    """Two crops of a photograph through the tiny model's bundle, and through JPEG."""
    photographs = {"eye.png": cat[60:188, 120:312], "ear.png": cat[20:120, 240:390]}
    return reported(bundle_path, photographs, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def page(report) -> str:
    """Its page."""
    return report.page()
