"""Every public name has an example in its docstring, and every example runs."""

import doctest
import inspect
import shutil

import elic_export
import elic_runtime
import pytest
from elic_export.exact.calibration import write_calibration
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime.images import write_image

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public(package):
    """The functions and classes of a package, and of its exceptions the one that all others are kinds of."""
    for name in package.__all__:
        thing = getattr(package, name)
        exception = isinstance(thing, type) and issubclass(thing, Exception)
        if exception and thing not in (elic_runtime.ElicError, elic_export.ExportError):
            continue
        if inspect.isroutine(thing) or isinstance(thing, type):
            yield f"{package.__name__}.{name}", thing


PUBLIC = dict([*public(elic_runtime), *public(elic_export)])


@pytest.fixture
def names(bundle_path, checkpoint, calibration, config, cat, tmp_path):
    """What examples find besides the public names: a bundle, what it was made from, a photograph, an `.elic` file."""
    write_image(tmp_path / "cat.png", cat[:128, :192])
    write_calibration(tmp_path / "calibration.npz", calibration)
    shutil.copy(DEPLOY_CONFIGS / "thresholds.yaml", tmp_path)
    (tmp_path / "static.yaml").write_text("form: static\nshape: {height: 128, width: 192}\n")
    codec = elic_runtime.Codec.load(bundle_path)
    elic_runtime.compress_file(codec, tmp_path / "cat.png", tmp_path / "cat.elic")
    return {
        "bundle": shutil.copytree(bundle_path, tmp_path / "static-128x192"),
        "calibration": tmp_path / "calibration.npz",
        "checkpoint": checkpoint.path,
        "codec": codec,
        "config": config,
        "folder": tmp_path,
        "image": cat[:128, :192],
        "photograph": tmp_path / "cat.png",
        "elic_export": elic_export,
        "elic_runtime": elic_runtime,
        **{name.split(".")[1]: thing for name, thing in PUBLIC.items()},
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_runs(name, names, monkeypatch):
    monkeypatch.chdir(names["folder"])
    found = [
        test for test in doctest.DocTestFinder(recurse=True).find(PUBLIC[name], name, globs=names) if test.examples
    ]
    assert found, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in found:
        runner.run(test)
    assert runner.summarize().failed == 0
