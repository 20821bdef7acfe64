"""Means, BD-rate and verdicts, of points that are chosen so that the answer is known."""

import pytest
from elic_runtime.evaluation.curves import PUBLISHED, deltas, judge, mean_curves
from elic_runtime.evaluation.points import BundleFacts, Evaluation, ImageResult, Point

BUNDLE = BundleFacts(
    label="bundle",
    form="static",
    shape="64x64",
    precision="fp32",
    arithmetic="exact",
    checkpoint_sha256="",
    fingerprint="",
    runner="onnxruntime",
)


def points(image, codec, pairs, quality=None):
    return [
        Point(
            image=image,
            codec=codec,
            setting=f"quality {quality}" if quality else f"step {step}",
            step=float(step),
            quality=quality,
            width=64,
            height=64,
            bpp=bpp,
            psnr_db=psnr_db,
            equal=psnr_db is None,
        )
        for step, (bpp, psnr_db) in enumerate(pairs, 1)
    ]


def evaluation(*images):
    return Evaluation(machine="", bundles=(BUNDLE,), anchors=("JPEG",), steps=(), resize=None, images=images)


def image(name, pairs, anchors):
    return ImageResult(image=name, points=(*points(name, "bundle", pairs), *points(name, "JPEG", anchors, quality=50)))


def test_an_anchor_that_takes_twice_the_bits_is_twice_the_bits():
    """The paper's own points against themselves with twice the rate: -50 %, or +100 % the other way round."""
    twice = [(2 * bpp, psnr_db) for bpp, psnr_db in PUBLISHED]
    found = evaluation(image("a", PUBLISHED, twice), image("b", PUBLISHED[2:], twice[:6]))
    (delta,) = deltas(found, "JPEG")
    assert (delta.codec, delta.anchor, delta.images) == ("bundle", "JPEG", 2)
    assert delta.bd_rate_percent == pytest.approx(-50, abs=0.2)
    (back,) = deltas(found, "bundle")
    assert back.bd_rate_percent == pytest.approx(100, abs=1)
    assert (
        judge(found, [delta]).sentence
        == "All 2 photographs decoded; bundle needs 50.0 % fewer bytes than JPEG at equal PSNR."
    )


@pytest.mark.parametrize(
    "anchors",
    [
        PUBLISHED[:3],  # three points
        [(bpp, psnr_db + 20) for bpp, psnr_db in PUBLISHED],  # a range of PSNR of its own
        [PUBLISHED[0]] * 6,  # one point six times: its smallest file
    ],
)
def test_curves_that_cannot_be_compared_are_not(anchors):
    (delta,) = deltas(evaluation(image("a", PUBLISHED, anchors)), "JPEG")
    assert (delta.bd_rate_percent, delta.images) == (None, 0)


def test_a_point_that_costs_more_and_is_no_better_does_not_matter():
    worse = [*PUBLISHED, (0.5, 30.0)]
    (delta,) = deltas(evaluation(image("a", worse, [(2 * b, p) for b, p in PUBLISHED])), "JPEG")
    assert delta.bd_rate_percent == pytest.approx(-50, abs=0.2)


def test_means_are_of_a_codec_at_a_step():
    a, b = image("a", [(0.5, 30.0), (0.25, 27.0)], [(0.5, 29.0)]), image("b", [(0.7, None), (0.35, 29.0)], [])
    bundle, jpeg = mean_curves([a, b])
    assert [(p.setting, p.bpp, p.psnr_db, p.equal, p.images) for p in bundle.points] == [
        ("step 1", pytest.approx(0.6), 30.0, 1, 2),
        ("step 2", pytest.approx(0.3), 28.0, 0, 2),
    ]
    assert [(p.setting, p.bpp, p.images) for p in jpeg.points] == [("as large as step 1", 0.5, 1)]


def test_photographs_that_failed_fail_the_evaluation():
    found = evaluation(image("a", PUBLISHED, []), ImageResult(image="b", error="damaged"))
    verdict = judge(found, [])
    assert (verdict.passed, verdict.sentence) == (False, "1 of 2 photographs decoded.")
