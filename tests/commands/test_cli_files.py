"""What the `elic` command reads and writes: streams, folders, names, full disks, colours."""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from elic_runtime.images import decode_photograph, read_image, write_image
from PIL import Image

PROFILES = Path(__file__).parents[1] / "runtime/images"


def elic(*args, **options):
    """Through the real entry point, with real streams."""
    command = [sys.executable, "-m", "elic_runtime", *map(str, args)]
    return subprocess.run(command, capture_output=True, check=False, **options)


def one_line(run):
    text = run.stderr.decode()
    assert run.returncode == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


@pytest.fixture
def photo(cat, tmp_path):
    write_image(tmp_path / "cat.png", cat[:130, :200])
    return tmp_path / "cat.png"


def test_streams(photo, bundle_path, codec):
    """Photograph in, file out, and back, in one pipe: what is said of them goes to stderr."""
    run = elic("compress", "-", "-", "--bundle", bundle_path, input=photo.read_bytes())
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith(b"standard output: 200x130, ")
    data = run.stdout
    assert data == codec.compress(read_image(photo))
    facts = elic("info", "-", "--json", input=data)
    assert json.loads(facts.stdout)["file"] == "standard input"
    run = elic("decompress", "-", "-", "--bundle", bundle_path, "--json", input=data)
    assert run.returncode == 0, run.stderr
    assert (decode_photograph(run.stdout, "out").pixels == codec.decompress(data)).all()
    assert json.loads(run.stderr)[0]["output"] == "standard output"


def test_a_stream_on_one_side(photo, bundle_path, codec):
    out = photo.with_name("a.elic")
    assert elic("compress", "-", out, "--bundle", bundle_path, input=photo.read_bytes()).returncode == 0
    run = elic("decompress", out, "-", "--bundle", bundle_path)
    assert (decode_photograph(run.stdout, "out").pixels == codec.decompress(out.read_bytes())).all()


def test_bad_streams(bundle_path, tmp_path):
    run = elic("compress", "-", "-", "--bundle", bundle_path, input=b"hello")
    assert "standard input: no image of a known format" in one_line(run)
    run = elic("decompress", "-", "-", "--bundle", bundle_path, input=b"hello")
    assert "standard input: not an .elic file" in one_line(run)
    write_image(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    run = elic("compress", tmp_path, "-", "--bundle", bundle_path)
    assert "standard output: the output of a folder of inputs must be a folder" in one_line(run)


def test_a_reader_that_goes_away(photo, bundle_path):
    command = [sys.executable, "-m", "elic_runtime", "compress", photo, "-", "--bundle", bundle_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 2
    assert said == "error: standard output: Broken pipe\n"


def test_a_full_disk_names_the_output(photo, bundle_path, tmp_path):
    """A limit on the size of files fails as a full disk does, without one."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    out = tmp_path / "out.elic"
    text = one_line(elic("compress", photo, out, "--bundle", bundle_path, preexec_fn=limit))
    assert text == f"error: {out}: File too large\n"
    assert [p.name for p in tmp_path.iterdir()] == ["cat.png"]


def test_names_that_begin_with_a_dash(photo, bundle_path):
    folder = photo.parent
    photo.rename(folder / "-x.png")
    text = one_line(elic("compress", "-x.png", "out.elic", "--bundle", bundle_path, cwd=folder))
    assert text.endswith("If -x.png is a file, write ./-x.png\n")
    run = elic("compress", "./-x.png", "out.elic", "--bundle", bundle_path, cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "If" not in one_line(elic("compress", "--speed", "out.elic", cwd=folder))


def test_what_a_folder_holds_besides_is_said(photo, bundle_path, tmp_path):
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    shutil.move(photo, folder / "CAT.PNG")
    (folder / "b.gif").write_bytes(b"")
    run = elic("compress", folder, tmp_path / "out", "--bundle", bundle_path)
    assert run.returncode == 0
    assert run.stderr.decode() == f"note: {folder}: left out, since they are not images: b.gif, more/\n"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["CAT.elic"]


def test_converted_colours_are_said(photo, bundle_path, monkeypatch):
    monkeypatch.syspath_prepend(PROFILES)
    from profiles import DISPLAY_P3, SRGB_CURVE, profile

    picture = Image.open(photo)
    picture.save(photo.with_name("p3.png"), icc_profile=profile("Display P3", SRGB_CURVE, DISPLAY_P3))
    facts = {}
    for name in ("cat.png", "p3.png"):
        run = elic(
            "compress", photo.with_name(name), photo.with_name("a.elic"), "--bundle", bundle_path, "--srgb", "--json"
        )
        (facts[name],) = json.loads(run.stdout)
    assert facts["cat.png"]["converted_from"] is None
    assert facts["p3.png"]["converted_from"] == "Display P3"
    run = elic("compress", photo.with_name("p3.png"), photo.with_name("a.elic"), "--bundle", bundle_path, "--srgb")
    assert run.stdout.decode().endswith(" s, colours converted from Display P3\n")


def test_pictures_are_written_in_any_case_of_their_ending(photo, bundle_path, tmp_path):
    assert elic("compress", photo, tmp_path / "a.ELIC", "--bundle", bundle_path).returncode == 0
    assert elic("decompress", tmp_path / "a.ELIC", tmp_path / "a.TIF", "--bundle", bundle_path).returncode == 0
    assert read_image(tmp_path / "a.TIF").shape == (130, 200, 3)
    assert np.asarray(Image.open(tmp_path / "a.TIF")).dtype == np.uint8
