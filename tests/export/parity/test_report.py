"""Reports made by hand: how they are judged, stored, read back and shown, whatever numbers are in them."""

import io
import json
import math
import re

import numpy as np
import pytest
from elic_export.metrics import TensorError, psnr_lost
from elic_export.parity.judge import judge, judge_end_to_end
from elic_export.parity.render import print_report, render_html
from elic_export.parity.report import EndToEndResult, ImageResult, PassResult, Report, SubgraphResult
from elic_export.thresholds import read_thresholds
from elic_export.yaml_file import DEPLOY_CONFIGS
from elic_runtime.commands.console import print_json
from rich.console import Console


def limits(precision="fp32", arithmetic="exact"):
    return read_thresholds(DEPLOY_CONFIGS / "thresholds.yaml", precision, arithmetic)


def subgraph(name="g_s", tensor="x_hat", precision="fp32", relative_error=0.0, psnr_db=90.0):
    return SubgraphResult(
        subgraph=name,
        tensor=tensor,
        precision=precision,
        max_abs_error=relative_error,
        relative_error=relative_error,
        cosine=1.0,
        psnr_db=psnr_db,
    )


def image(torch_psnr_db=33.0, file_psnr_db=33.0, half_psnr_db=None):
    return ImageResult(
        image="cat.png",
        width=64,
        height=64,
        likelihood_bpp=1.0,
        torch_bpp=1.0,
        file_bpp=1.0,
        ideal_bytes=500,
        torch_bytes=512,
        streams=11,
        stream_bytes=512,
        file_bytes=600,
        float_file_bytes=600,
        forward_psnr_db=torch_psnr_db,
        torch_psnr_db=torch_psnr_db,
        file_psnr_db=file_psnr_db,
        graph_steps=0,
        file_steps=0,
        half_file_bytes=None if half_psnr_db is None else 600,
        half_psnr_db=half_psnr_db,
    )


def end_to_end(torch_psnr_db=33.0, graph_psnr_db=33.0, graph_bpp=1.0):
    return EndToEndResult(
        image="cat.png",
        width=64,
        height=64,
        torch_psnr_db=torch_psnr_db,
        graph_psnr_db=graph_psnr_db,
        graph_steps=0,
        torch_bpp=1.0,
        graph_bpp=graph_bpp,
        correlation=1.0,
        smallest_likelihood=1e-6,
    )


def judged(subgraphs, images, precision="fp32", arithmetic="exact"):
    findings = judge(
        limits(precision, arithmetic), subgraphs, [PassResult(slice=0, half="anchor", symbols=9)], images, 0, []
    )
    return {f.question: f for f in findings}


def report(**parts):
    findings = list(judged([subgraph()], [image()]).values())
    return Report(
        **{
            "checkpoint_sha256": "0" * 64,
            "fingerprint": "0" * 64,
            "form": "static",
            "shape": "64x64",
            "precision": "fp32",
            "arithmetic": "exact",
            "passed": False,
            "findings": findings,
            "subgraphs": [subgraph()],
            "images": [image()],
            "layers": [],
            "operators": {},
        }
        | parts
    )


ODD = {
    "nan": report(subgraphs=[subgraph(relative_error=math.nan, psnr_db=math.nan)], images=[image(math.nan, math.nan)]),
    "inf": report(subgraphs=[subgraph(psnr_db=math.inf)], images=[image(math.inf, math.inf, math.inf)]),
    "-inf": report(subgraphs=[subgraph(relative_error=math.inf, psnr_db=-math.inf)], images=[image(33.0, 30.0, 29.0)]),
    "end": report(end_to_end=[end_to_end(math.inf, math.nan, math.nan)]),
    "verdict": report(findings=list(judged([subgraph(relative_error=math.nan)], [image(33.0, math.nan)]).values())),
}


def refuse(name):
    raise ValueError(f"{name} is no JSON")


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_every_way_to_json_is_valid_and_reads_back(odd, capsys):
    print_json(odd.model_dump())
    print_json(odd.model_dump(mode="json"))
    first, _, second = capsys.readouterr().out.partition("}\n{")
    texts = [odd.model_dump_json(), json.dumps(odd.model_dump(mode="json"), allow_nan=False), first + "}", "{" + second]
    contents = [json.loads(text, parse_constant=refuse) for text in texts]
    assert all(content == contents[0] for content in contents)
    for text in texts:
        again = Report.model_validate_json(text)
        assert repr(again) == repr(odd)  # NaN is not equal to itself
        assert again.model_dump_json() == odd.model_dump_json()


def test_a_nan_fails_and_is_shown():
    odd = ODD["verdict"]
    failed = [f for f in odd.findings if not f.passed]
    assert [f.question for f in failed] == ["graphs: relative error", "pictures: PSNR off PyTorch's, dB"]
    assert all(math.isnan(f.measured) for f in failed)
    text = io.StringIO()
    print_report(odd, Console(file=text, width=200))
    shown = [line.split() for line in text.getvalue().splitlines() if "FAIL" in line]
    assert all("nan" in words for words in shown)
    assert len(shown) == 2
    assert render_html(odd).count("<td>nan<td>") == 2


def test_the_page_says_the_verdict_first():
    """As the pages of evaluations do: they have one base."""
    odd = ODD["verdict"]
    failed = "graphs: relative error; pictures: PSNR off PyTorch's, dB".replace("'", "&#39;")
    questions = len(odd.findings)
    for passed, shown in ((False, "✗ Failed."), (True, "✓ Passed.")):
        head = render_html(odd.model_copy(update={"passed": passed})).partition("<main>")[0]
        assert f"<strong>{shown}</strong>{questions - 2} of {questions} questions passed; failed: {failed}</p>" in head
        assert '<button id="theme"' in head
    alone = render_html(odd)
    assert not re.findall(r"(?:src|href)=", alone)
    assert "@import" not in alone


def test_equal_is_shown_in_words():
    text = io.StringIO()
    print_report(ODD["inf"], Console(file=text, width=200))
    page = render_html(ODD["inf"])
    assert text.getvalue().count("equal") == 5  # a tensor; PyTorch's picture and the file's; the file's and in fp16
    assert page.count("<td>equal") == 6  # that of PyTorch's forward too
    for shown in (text.getvalue(), page):
        assert "inf" not in shown
        assert "999" not in shown


@pytest.mark.parametrize(
    ("expected", "found", "lost"),
    [
        (33.0, 32.5, 0.5),
        (33.0, 33.5, -0.5),
        (math.inf, math.inf, 0),
        (math.inf, 100.0, 0),  # one value of some hundred thousand is one step off
        (math.inf, 48.92, 10),
        (48.92, math.inf, -10),
    ],
)
def test_psnr_lost(expected, found, lost):
    assert psnr_lost(expected, found) == pytest.approx(lost, abs=0.01)


@pytest.mark.parametrize("pair", [(math.nan, 33.0), (33.0, math.nan), (math.nan, math.inf), (math.inf, math.nan)])
def test_psnr_lost_keeps_a_nan(pair):
    assert math.isnan(psnr_lost(*pair))


@pytest.mark.parametrize(
    ("pair", "passed"), [((math.inf, math.inf), True), ((math.inf, 45.0), False), ((33.0, math.inf), False)]
)
def test_equal_pictures_in_verdicts(pair, passed):
    psnr = "pictures: PSNR off PyTorch's, dB"
    of_files = judged([subgraph()], [image(*pair)])[psnr]
    (of_graphs,) = (f for f in judge_end_to_end(limits(), [end_to_end(*pair)]) if f.question == psnr)
    for finding in (of_files, of_graphs):
        assert finding.passed == passed
        assert math.isfinite(finding.measured)
    half = judged([subgraph()], [image(pair[0], pair[0], pair[1])], "mixed")["fp16, emulated: PSNR lost, dB"]
    assert half.passed == (pair != (math.inf, 45.0))


def test_each_subgraph_is_judged_by_its_own_precision():
    """What fp16 rounds is no excuse for one in fp32."""
    half = subgraph("g_a", "y", "fp16", 8e-3)
    for error, passed in ((0.0, True), (1e-3, False)):
        findings = judged([half, subgraph("h_s", "latent_means", "fp32", error)], [image()], "mixed")
        assert findings["graphs in fp16: relative error"].passed
        assert findings["graphs in fp32: relative error"].passed == passed
        assert findings["graphs in fp32: relative error"].worst == "h_s latent_means"
    assert not judged([subgraph("g_a", "y", "fp16", 2e-2)], [image()], "mixed")["graphs: relative error"].passed


def error_of(expected, found):
    error = TensorError()
    error.add(np.asarray(expected, np.float32), np.asarray(found, np.float32))
    return error


def test_psnr_of_tensors():
    assert error_of([1, 1], [1, 1]).psnr_db == math.inf
    assert error_of([1, 1], [1.5, 1.5]).psnr_db == pytest.approx(20 * math.log10(2))  # flat: over 1, as `relative`
    assert error_of([0, 8], [1, 8]).psnr_db == pytest.approx(20 * math.log10(8) + 10 * math.log10(2))
    assert error_of([0, 8], [math.inf, 8]).psnr_db == -math.inf
    assert not error_of([0, 8], [math.inf, 8]).relative < 1e9
    assert math.isnan(error_of([0, 8], [math.nan, 8]).psnr_db)
    assert math.isnan(error_of([0, 8], [math.inf, 8]).cosine)
