"""What `elic eval` says to people and scripts. What it measures is `evaluation`'s."""

import io
import json
import shutil
import subprocess
import sys

import pytest
from elic_runtime.commands.evaluate import Report, labelled, print_report
from elic_runtime.errors import ElicError
from elic_runtime.evaluation.curves import Delta, judge, mean_curves
from elic_runtime.evaluation.points import Evaluation, Grid, ImageResult, Point
from elic_runtime.images import write_image
from rich.console import Console


def point(image, psnr_db, bpp, *, codec="bundle", step=1.0, rows=1, width=64):
    return Point(
        image=image,
        codec=codec,
        setting=f"step {step:g}",
        step=step,
        width=64,
        height=64,
        bpp=bpp,
        psnr_db=psnr_db,
        equal=psnr_db is None,
        grid=Grid(rows=rows, columns=1, height=64, width=width),
    )


EQUAL = point("black.png", None, 0.01)
CATS = [point("a.png", 30.0, 0.5, width=128), point("b.png", 34.0, 0.7, rows=2)]


def printed(points, deltas=()):
    images = tuple(ImageResult(image=p.image, points=(p,)) for p in points)
    evaluation = Evaluation(machine="", bundles=(), anchors=(), steps=(), resize=None, images=images)
    report = Report(evaluation, (), tuple(mean_curves(images)), tuple(deltas), judge(evaluation, deltas))
    print_report(report, Console(file=(text := io.StringIO()), width=100))
    return text.getvalue().splitlines()


def test_people_see_that_it_is_equal():
    lines = printed([*CATS, EQUAL])
    assert lines[3].split() == ["black.png", "64x64", "1", "equal", "0.0100", "64x64"]
    assert lines[1].split()[-2:] == ["0.5000", "128x64"]
    assert lines[2].split()[4:] == ["0.7000", "2", "tiles", "of", "64x64"]
    assert lines[4].split() == ["mean", "1", "32.00", "0.4033"]
    assert lines[5] == "equal to their photographs, and not in the mean PSNR: 1 of 3"
    assert printed([EQUAL])[2].split() == ["mean", "1", "equal", "0.0100"]
    assert printed(CATS)[-1].split()[0] == "mean"


def test_every_step_and_codec_has_its_mean():
    steps = [p.model_copy(update={"step": step}) for p in CATS for step in (1.5, 0.5)]
    lines = printed(steps)
    assert [line.split()[:3] for line in lines[-2:]] == [["mean", "1.5", "32.00"], ["mean", "0.5", "32.00"]]
    assert lines[1].split()[2] == "1.5"
    delta = Delta(codec="JPEG", anchor="bundle", bd_rate_percent=71.25, images=2)
    lines = printed([*CATS, point("a.png", 29.0, 0.5, codec="JPEG")], [delta])
    assert [line.split()[:3] for line in lines[-3:-1]] == [["mean", "bundle", "1"], ["mean", "JPEG", "1"]]
    assert lines[-1] == "BD-rate of JPEG against bundle: +71.2 %, over 2 photographs"


def test_labels_tell_bundles_apart(tmp_path):
    assert list(labelled([tmp_path / "a", tmp_path / "b"])) == ["a", "b"]
    assert list(labelled([tmp_path / "x/a", tmp_path / "y/a"])) == ["x/a", "y/a"]
    with pytest.raises(ElicError, match="named twice"):
        labelled([tmp_path / "a", tmp_path / "b" / ".." / "a"])


def elic_eval(*args):
    command = [sys.executable, "-m", "elic_runtime", "eval", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(cat, tmp_path):
    """Two photographs, and between them a file that is none."""
    write_image(tmp_path / "photos/a.png", cat[:64, :128])
    write_image(tmp_path / "photos/c.png", cat[64:128, :128])
    (tmp_path / "photos/b.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_a_broken_image_is_reported_and_left_out(folder, bundle_path):
    run = elic_eval("--images", folder, "--bundle", bundle_path, "--json")
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {folder / 'b.png'}")
    assert run.stderr.count("\n") == 1
    facts = json.loads(run.stdout)
    assert [(image["image"], bool(image["points"]), bool(image["error"])) for image in facts["images"]] == [
        ("a.png", True, False),
        ("b.png", False, True),
        ("c.png", True, False),
    ]
    assert facts["verdict"] == {"passed": False, "sentence": "2 of 3 photographs decoded."}


def test_a_report(folder, bundle_path, tmp_path):
    """Two bundles and an anchor; a second run takes what is there, and another evaluation is not mixed with it."""
    (folder / "b.png").unlink()
    twin, out = shutil.copytree(bundle_path, tmp_path / "twin"), tmp_path / "report"
    command = ["--images", folder, "--bundle", bundle_path, "--bundle", twin, "--out", out, "--steps", "1,2"]
    command += ["--anchors", "jpeg", "--pictures", "1"]
    run = elic_eval(*command)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:7]] == [
        [codec, step] for codec in (bundle_path.name, "twin", "JPEG") for step in ("1", "2")
    ]
    assert len(lines[1].split()) == 5  # a photograph of 64 pixels has no MS-SSIM
    assert lines[-1].startswith(f"{out / 'report.html'}: All 2 photographs decoded")
    facts = json.loads((out / "results.json").read_text())
    assert [bundle["label"] for bundle in facts["bundles"]] == [bundle_path.name, "twin"]
    points = facts["images"][0]["points"]
    assert [(p["codec"], p["step"]) for p in points] == [
        *((bundle_path.name, step) for step in (1, 2)),
        *(("twin", step) for step in (1, 2)),
        *(("JPEG", step) for step in (1, 2)),
    ]
    assert points[0]["bytes"] == points[2]["bytes"] > points[1]["bytes"]
    table = (out / "results.csv").read_text().splitlines()
    assert table[0].startswith("image,codec,setting,step,quality,width,height,bytes,bpp,psnr_db")
    assert len(table) == 1 + 2 * 6
    page = (out / "report.html").read_text()
    assert "a.png" in page
    lines = (out / "results.jsonl").read_text().splitlines()
    (out / "results.jsonl").write_text("\n".join([*lines[:2], lines[2][:50]]))  # as a run that was killed leaves it
    again = elic_eval(*command)
    assert again.returncode == 0, again.stderr
    kept = (out / "results.jsonl").read_text().splitlines()
    assert kept[:2] == lines[:2]
    assert json.loads(kept[2])["result"]["image"] == "c.png"
    other = elic_eval(*command[:-4], "--anchors", "none")
    assert other.returncode == 2
    assert "holds another evaluation" in other.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--anchors", "gif"], "gif"),
        (["--resize", "64"], "64"),
        (["--against", "AV2"], "AV2"),
    ],
)
def test_bad_options_are_one_line(folder, bundle_path, options, said):
    run = elic_eval("--images", folder / "a.png", "--bundle", bundle_path, *options)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1
