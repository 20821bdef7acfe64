"""Photographs, files and bundles behind URLs, on the file system that fsspec keeps in memory and on this machine's."""

import json
from pathlib import Path

import fsspec
import pytest
from elic_runtime import Codec
from elic_runtime.commands.cli import app
from elic_runtime.engines.storage import (
    CACHE_VARIABLE,
    StorageError,
    Url,
    images_in,
    local_bundle,
    place,
    write_whole,
)
from elic_runtime.errors import ImageError
from elic_runtime.images import encode_image
from typer.testing import CliRunner


def elic(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture
def memory():
    """A file system of this process, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache/elic-deploy/bundles"


@pytest.fixture
def folder(memory, cat):
    """Two photographs, and what is none."""
    for name, top in (("b.png", 0), ("a.png", 40)):
        memory.pipe(f"/in/{name}", encode_image(cat[top : top + 100, :150], ".png"))
    memory.pipe("/in/notes.txt", b"of the day")
    memory.pipe("/in/deeper/c.png", b"")
    return Url("memory://in")


def test_texts_become_places(tmp_path):
    assert place("photographs/a.png") == Path("photographs/a.png")
    assert place(f"file://{tmp_path}/a%20b.png") == tmp_path / "a b.png"
    assert place("s3://bucket/a.png") == Url("s3://bucket/a.png")


def test_names_of_a_url():
    url = Url("s3://bucket/photographs/") / "cat.of.mine.PNG"
    assert str(url) == "s3://bucket/photographs/cat.of.mine.PNG"
    assert (url.name, url.stem, url.suffix) == ("cat.of.mine.PNG", "cat.of.mine", ".PNG")


def test_a_folder_lists_its_images_in_order(folder):
    assert images_in(folder) == [folder / "a.png", folder / "b.png"]
    assert images_in(folder / "b.png") == [folder / "b.png"]


def test_a_folder_without_images_is_refused(memory):
    memory.pipe("/in/notes.txt", b"of the day")
    with pytest.raises(ImageError, match="memory://in: no images"):
        images_in(Url("memory://in"))


def test_a_file_is_written_with_its_folders_and_replaced(memory):
    write_whole(Url("memory://new/folder/a.elic"), b"one")
    write_whole(Url("memory://new/folder/a.elic"), b"two")
    assert memory.cat("/new/folder/a.elic") == b"two"
    assert Url("memory://new/folder/a.elic").modified() is not None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory://nowhere/a.png", "not found"),
        ("gopher://host/a.png", "gopher"),
        ("s3://bucket/a.png", "s3fs"),
    ],
)
def test_what_cannot_be_read_is_one_line(memory, url, words):
    with pytest.raises(StorageError) as refused:
        Url(url).read_bytes()
    assert str(refused.value).startswith(f"{url}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_behind_a_url_is_compressed_as_one_here(folder, memory, bundle_path, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(memory.cat(f"/in/{name}"))
    here = elic("compress", tmp_path / "in", tmp_path / "out", "--bundle", bundle_path)
    assert here.exit_code == 0, here.output
    there = elic("compress", folder, "memory://out", "--bundle", bundle_path, "--json")
    assert there.exit_code == 0, there.output
    assert [facts["output"] for facts in json.loads(there.stdout)] == ["memory://out/a.elic", "memory://out/b.elic"]
    for name in ("a.elic", "b.elic"):
        assert memory.cat(f"/out/{name}") == (tmp_path / "out" / name).read_bytes()
    again = elic("compress", folder, "memory://out", "--bundle", bundle_path)
    assert again.exit_code == 2
    assert "memory://out/a.elic: exists already" in again.stderr


def test_files_behind_a_url_are_kept(folder, memory, bundle_path):
    given = ("compress", folder, "memory://out", "--bundle", bundle_path, "--json")
    assert elic(*given).exit_code == 0
    memory.pipe("/out/a.elic", memory.cat("/out/a.elic")[:-1])
    run = elic(*given, "--resume")
    assert run.exit_code == 0, run.output
    assert [facts["kept"] for facts in json.loads(run.stdout)] == [False, True]


def test_a_path_of_a_bundle_is_used_as_it_is(bundle_path, cache):
    assert local_bundle(str(bundle_path)) == bundle_path
    assert not cache.exists()


def test_a_bundle_is_copied_once(bundle_path, cache):
    url = f"file://{bundle_path}"
    folder = local_bundle(url)
    assert folder.parent == cache
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert names == {path.relative_to(bundle_path) for path in bundle_path.rglob("*") if path.is_file()}
    before = (folder / "manifest.json").stat().st_ino
    assert local_bundle(f"{url}/") == folder
    assert (folder / "manifest.json").stat().st_ino == before
    Codec.load(folder)


def test_another_bundle_gets_another_folder(copy, bundle_path):
    assert local_bundle(f"file://{bundle_path}") == local_bundle(f"file://{copy}")
    (copy / "manifest.json").write_text((copy / "manifest.json").read_text() + "\n")
    assert local_bundle(f"file://{bundle_path}") != local_bundle(f"file://{copy}")


def test_a_copy_that_was_stopped_is_made_again(bundle_path, cache):
    folder = local_bundle(f"file://{bundle_path}")
    unfinished = folder.with_suffix(".unfinished")
    folder.rename(unfinished)
    (unfinished / "entropy_tables.npz").unlink()
    assert local_bundle(f"file://{bundle_path}") == folder
    assert (folder / "entropy_tables.npz").is_file()
    assert not unfinished.exists()


def test_no_bundle_behind_a_url(memory):
    run = elic("compress", "memory://in", "memory://out", "--bundle", "memory://nothing")
    assert run.exit_code == 2
    assert run.stderr.count("\n") == 1
