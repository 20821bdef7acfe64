"""The bundles that every target's test runs on."""

import pytest
from bundles import KINDS, written
from elic_runtime.bundle import Bundle

EXPORTED = ("bundle_path", "float_bundle_path", "dynamic_path", "no_entropy_path")
"""A few that are really exported."""


@pytest.fixture(scope="session", params=[*KINDS, *EXPORTED])
def bundle(request, tmp_path_factory):
    """A manifest and a folder, in which targets are written."""
    if request.param in EXPORTED:
        folder = request.getfixturevalue(request.param)
        return Bundle(folder).manifest, folder
    return written(tmp_path_factory.mktemp("targets") / "a folder", **KINDS[request.param])
