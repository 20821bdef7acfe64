"""`elic compress --resume`: which files of an earlier run are kept, and which are made again."""

import json
import os
import shutil

import pytest
from elic_runtime.commands.cli import app
from elic_runtime.images import write_image
from typer.testing import CliRunner


def elic(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture
def again(cat, bundle_path, tmp_path):
    """Compresses two photographs, and then returns what compresses the same folder again: which files it kept."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for i in range(2):
        write_image(folder / f"{i}.png", cat[30 * i : 30 * i + 90, :140])
    given = ("compress", folder, out, "--bundle", bundle_path, "--json")
    first = elic(*given)
    assert first.exit_code == 0, first.output
    assert [facts["kept"] for facts in json.loads(first.stdout)] == [False, False]

    def run(*options):
        before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        done = elic(*given, "--resume", *options)
        assert done.exit_code == 0, done.output
        facts = json.loads(done.stdout)
        written = [out / f"{i}.elic" for i in range(2)]
        assert [fact["bytes"] for fact in facts] == [path.stat().st_size for path in written]
        unchanged = [before.get(path.name) == path.stat().st_mtime_ns for path in written]
        assert [fact["kept"] for fact in facts] == unchanged
        return unchanged

    return run


def test_what_is_whole_is_kept(again):
    assert again() == [True, True]


def test_what_is_missing_or_damaged_is_made(again, tmp_path):
    first, second = (tmp_path / "out" / f"{i}.elic" for i in range(2))
    whole = second.read_bytes()
    first.unlink()
    second.write_bytes(whole[:-1])
    assert again() == [False, False]
    assert second.read_bytes() == whole
    second.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    assert again() == [True, False]
    assert second.read_bytes() == whole


def test_a_photograph_that_was_changed_since_is_compressed(again, tmp_path):
    later = (tmp_path / "out/0.elic").stat().st_mtime + 10
    os.utime(tmp_path / "in/0.png", (later, later))
    assert again() == [False, True]


def test_another_step_is_another_file(again):
    assert again("--step", 2) == [False, False]
    assert again("--step", 2) == [True, True]


def test_another_bundle_is_another_file(again, float_bundle_path):
    assert again("--bundle", float_bundle_path) == [False, False]


def test_what_is_kept_is_said(again, bundle_path, tmp_path):
    run = elic("compress", tmp_path / "in", tmp_path / "out", "--bundle", bundle_path, "--resume")
    assert all(line.endswith("bpp, kept") for line in run.stdout.splitlines())
    assert run.stdout.count("\n") == 2


def test_a_single_file_too(again, bundle_path, tmp_path):
    photo, out = tmp_path / "in/0.png", tmp_path / "single.elic"
    shutil.copy(tmp_path / "out/0.elic", out)
    run = elic("compress", photo, out, "--bundle", bundle_path, "--resume", "--json")
    assert [facts["kept"] for facts in json.loads(run.stdout)] == [True]


def test_a_stream_is_for_this_process(bundle_path):
    run = elic("compress", "-", "-", "--bundle", bundle_path, "--engine", "ray")
    assert run.exit_code == 2
    assert "--engine threads" in run.stderr
