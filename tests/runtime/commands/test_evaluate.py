"""What `elic eval` makes of its results. The codec behind them is `test_no_entropy.py`'s."""

import io
import math
from dataclasses import replace

import pytest
from elic_runtime.commands.evaluate import EvalResult, eval_facts, means, print_results
from elic_runtime.tiles import TileGrid
from rich.console import Console

EQUAL = EvalResult("black.png", 64, 64, math.inf, 0.01, TileGrid(64, 64, 64, 64))
CATS = [
    EvalResult("a.png", 64, 64, 30.0, 0.5, TileGrid(64, 64, 64, 128)),
    EvalResult("b.png", 64, 64, 34.0, 0.7, TileGrid(65, 64, 64, 64)),
]


def printed(results):
    text = io.StringIO()
    print_results(results, Console(file=text, width=100))
    return text.getvalue().splitlines()


def test_a_picture_that_comes_back_equal_is_not_in_the_mean():
    (mean,) = means([*CATS, EQUAL])
    assert (mean.psnr_db, mean.equal) == (32.0, 1)
    assert mean.bpp == pytest.approx(1.21 / 3)
    assert means(CATS)[0].equal == 0


def test_equal_pictures_alone_have_no_mean():
    (mean,) = means([EQUAL, EQUAL])
    assert (mean.psnr_db, mean.equal) == (None, 2)


def test_scripts_get_null_and_why():
    facts = eval_facts([*CATS, EQUAL])
    assert [(i["psnr_db"], i["equal"]) for i in facts["images"]] == [(30.0, False), (34.0, False), (None, True)]
    assert [(mean["step"], mean["psnr_db"], mean["equal"]) for mean in facts["means"]] == [(1, 32.0, 1)]


def test_people_see_that_it_is_equal():
    lines = printed([*CATS, EQUAL])
    assert lines[3].split() == ["black.png", "64x64", "1", "equal", "0.0100", "64x64"]
    assert lines[1].split()[-2:] == ["0.5000", "128x64"]
    assert lines[2].split()[4:] == ["0.7000", "2", "tiles", "of", "64x64"]
    assert lines[4].split() == ["mean", "1", "32.00", "0.4033"]
    assert lines[5] == "equal to their photographs, and not in the mean PSNR: 1 of 3"
    assert printed([EQUAL])[2].split() == ["mean", "1", "equal", "0.0100"]
    assert printed(CATS)[-1].split()[0] == "mean"


def test_every_step_has_its_mean():
    steps = [replace(result, step=step) for result in CATS for step in (1.5, 0.5)]
    assert [(mean.step, mean.psnr_db) for mean in means(steps)] == [(1.5, 32.0), (0.5, 32.0)]
    lines = printed(steps)
    assert [line.split()[:2] for line in lines[-2:]] == [["mean", "1.5"], ["mean", "0.5"]]
    assert lines[1].split()[2] == "1.5"
