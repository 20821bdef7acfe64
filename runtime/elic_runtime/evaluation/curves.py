"""What an evaluation says as a whole: mean curves, what separates them (BD-rate), a verdict, and the paper's own curve.

A curve is a codec's means at each step. An anchor's are those at the qualities whose files are nearest in size to the
first bundle's at that step. BD-rate is computed for each photograph on its own, and then averaged.
"""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from elic_runtime.errors import ElicError
from elic_runtime.evaluation.points import Data, Evaluation, ImageResult, Point

PUBLISHED = (
    (0.0468, 26.27),
    (0.0767, 27.68),
    (0.1236, 29.13),
    (0.1964, 30.70),
    (0.3334, 32.80),
    (0.4909, 34.59),
    (0.7041, 36.49),
    (0.8573, 37.62),
    (1.1065, 39.18),
    (1.4898, 41.07),
)
"""Mean bits per pixel and PSNR in dB of ELIC on the 24 Kodak photographs, one checkpoint for each point."""

PUBLISHED_SOURCE = "ELIC (He et al., CVPR 2022), 24 Kodak photographs, one checkpoint for each point, as published"

LEAST_POINTS = 4
"""How many points of different rate and quality BD-rate needs, as Bjøntegaard's cubic did."""


class MeanPoint(Data):
    """Means over the photographs of one codec at one step.

    Parameters
    ----------
    setting : str
        For people: `step 1.5`; of an anchor, `as large as step 1.5`.
    step : float, optional
        The step, or the one that an anchor was to match.
    bpp : float, optional
        Mean bits per pixel of the photographs whose rate is known; None if there are none.
    psnr_db : float, optional
        Mean PSNR in dB of the decoded pictures that differ from their photographs; None if all are equal.
    ms_ssim, ssimulacra2, encode_s, decode_s : float, optional
        Means of what was measured; None if it was of none.
    images : int
        How many photographs.
    equal : int
        How many decoded pictures equal their photographs.

    """

    setting: str
    step: float | None
    bpp: float | None
    psnr_db: float | None
    ms_ssim: float | None
    ssimulacra2: float | None
    encode_s: float | None
    decode_s: float | None
    images: int
    equal: int = 0


class Curve(Data):
    """The means of a codec, in the order of its steps."""

    codec: str
    points: tuple[MeanPoint, ...]


class Delta(Data):
    """BD-rate of a codec against an anchor.

    Parameters
    ----------
    codec, anchor : str
        Names of the codecs.
    bd_rate_percent : float, optional
        How many more bytes the codec needs at equal PSNR, mean over the photographs: negative is better. None if no
        photograph has four points of both and a range of PSNR that both reach.
    images : int
        Over how many photographs.

    """

    codec: str
    anchor: str
    bd_rate_percent: float | None
    images: int


class Verdict(Data):
    """Whether everything was coded, and what to remember of it, as a sentence."""

    passed: bool
    sentence: str


def mean_curves(images: Sequence[ImageResult]) -> list[Curve]:
    """Average the points of each codec at each step, in the order in which they were measured."""
    groups: dict[str, dict[float | None, list[Point]]] = {}
    for point in (point for image in images for point in image.points):
        groups.setdefault(point.codec, {}).setdefault(point.step, []).append(point)
    return [
        Curve(codec=codec, points=tuple(_mean(points) for points in by_step.values()))
        for codec, by_step in groups.items()
    ]


def deltas(evaluation: Evaluation, anchor: str) -> list[Delta]:
    """Compare every codec with one of them.

    Parameters
    ----------
    evaluation : Evaluation
        What was measured.
    anchor : str
        A bundle's label, or an anchor's name.

    Raises
    ------
    ElicError
        If bjontegaard is not installed.

    """
    names = [*(bundle.label for bundle in evaluation.bundles), *evaluation.anchors]
    return [_delta(evaluation.images, name, anchor) for name in names if name != anchor]


def judge(evaluation: Evaluation, compared: Iterable[Delta]) -> Verdict:
    """Say in a sentence what was found."""
    done = sum(image.error is None for image in evaluation.images)
    labels = {bundle.label for bundle in evaluation.bundles}
    count = len(evaluation.images)
    what = f"{done} of {count}" if done < count or count == 1 else f"All {done}"
    said = [f"{what} photograph{'s' if count > 1 else ''} decoded"]
    for delta in compared:
        if delta.codec in labels and delta.bd_rate_percent is not None:
            size = f"{abs(delta.bd_rate_percent):.1f} % {'fewer' if delta.bd_rate_percent < 0 else 'more'} bytes"
            said.append(f"{delta.codec} needs {size} than {delta.anchor} at equal PSNR")
    passed = done == len(evaluation.images)
    return Verdict(passed=passed, sentence=f"{'; '.join(said)}.")


def _mean(points: Sequence[Point]) -> MeanPoint:
    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    first = points[0]
    setting = first.setting if first.quality is None else f"as large as step {first.step:.4g}"
    return MeanPoint(
        setting=setting,
        step=first.step,
        bpp=mean(p.bpp for p in points),
        psnr_db=mean(p.psnr_db for p in points),
        ms_ssim=mean(p.ms_ssim for p in points),
        ssimulacra2=mean(p.ssimulacra2 for p in points),
        encode_s=mean(p.encode_s for p in points),
        decode_s=mean(p.decode_s for p in points),
        images=len(points),
        equal=sum(p.equal for p in points),
    )


def _delta(images: Sequence[ImageResult], codec: str, anchor: str) -> Delta:
    found = [rate for image in images if (rate := _bd_rate(image, codec, anchor)) is not None]
    return Delta(
        codec=codec, anchor=anchor, bd_rate_percent=float(np.mean(found)) if found else None, images=len(found)
    )


def _bd_rate(image: ImageResult, codec: str, anchor: str) -> float | None:
    """Compute BD-rate over the range of PSNR that both codecs reach, in percent."""
    of_codec, of_anchor = _rising(image, codec), _rising(image, anchor)
    if min(len(of_codec), len(of_anchor)) < LEAST_POINTS:
        return None
    (rates, qualities), (anchor_rates, anchor_qualities) = zip(*of_codec, strict=True), zip(*of_anchor, strict=True)
    if max(qualities[0], anchor_qualities[0]) >= min(qualities[-1], anchor_qualities[-1]):
        return None
    try:
        import bjontegaard
    except ModuleNotFoundError:
        raise ElicError("BD-rate needs bjontegaard: install the extra, elic-deploy[report]") from None
    of_both = map(np.array, (anchor_rates, anchor_qualities, rates, qualities))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a small overlap
        found = bjontegaard.bd_rate(*of_both, method="akima", require_matching_points=False, min_overlap=0)
    return float(found) if np.isfinite(found) else None


def _rising(image: ImageResult, codec: str) -> list[tuple[float, float]]:
    """Return bpp and PSNR of a codec's points; one that costs more and is not better than another is left out."""
    pairs = {(p.bpp, p.psnr_db) for p in image.points if p.codec == codec and p.bpp and p.psnr_db is not None}
    rising: list[tuple[float, float]] = []
    for bpp, quality in sorted((float(bpp or 0), float(quality or 0)) for bpp, quality in pairs):
        if not rising or (quality > rising[-1][1] and bpp > rising[-1][0]):
            rising.append((bpp, quality))
    return rising
