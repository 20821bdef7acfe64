"""Judge what was measured by the thresholds: one verdict for each question."""

import math
from collections.abc import Callable

import numpy as np

from elic_export.metrics import psnr_lost
from elic_export.parity.report import BackendResult, EndToEndResult, Finding, ImageResult, PassResult, SubgraphResult
from elic_export.thresholds import Thresholds

LIKELIHOOD_BOUND = float(np.float32(1e-9))
"""Smallest likelihood, as float32 holds it."""


def judge(
    limits: Thresholds,
    subgraphs: list[SubgraphResult],
    passes: list[PassResult],
    images: list[ImageResult],
    streams_differing: int,
    exactness: list[BackendResult],
) -> list[Finding]:
    """Judge the parity of a codec's bundle.

    Parameters
    ----------
    limits : Thresholds
        The largest accepted errors.
    subgraphs : list of SubgraphResult
        Errors of the graphs' outputs.
    passes : list of PassResult
        Differing scale indexes and symbols.
    images : list of ImageResult
        Files and pictures.
    streams_differing : int
        Number of streams that differ from CompressAI's.
    exactness : list of BackendResult
        Differing symbols by backend. The list is empty in float arithmetic.

    Returns
    -------
    list of Finding
        The verdict on each question.

    """
    symbols = sum(p.symbols for p in passes)
    indexes = sum(p.differing_indexes for p in passes)
    differing = sum(p.differing_symbols for p in passes)
    total = sum(i.file_bytes for i in images)
    return [
        *_of_graphs(limits, subgraphs),
        _finding(
            "passes: scale indexes differing", limits.index_fraction, indexes / symbols, f"{indexes} of {symbols}"
        ),
        _finding("passes: symbols differing", limits.symbol_fraction, differing / symbols, f"{differing} of {symbols}"),
        _finding("streams: not CompressAI's bytes", 0, streams_differing, "all streams"),
        _of_images(
            "streams: size over PyTorch's",
            limits,
            limits.size_difference,
            images,
            lambda i: i.stream_bytes / i.torch_bytes - 1,
        ),
        _finding(
            "files: all over float arithmetic's",
            limits.rate_cost_total * _scatter(limits, total),
            total / sum(i.float_file_bytes for i in images) - 1,
            f"{len(images)} images",
        ),
        _of_images("files: size over float arithmetic's", limits, limits.rate_cost, images, lambda i: i.rate_cost),
        _over_ideal(limits, images),
        _of_images(
            "pictures: PSNR off PyTorch's, dB",
            limits,
            limits.psnr_difference_db,
            images,
            lambda i: abs(psnr_lost(i.torch_psnr_db, i.file_psnr_db)),
        ),
        _worst("pictures: g_s off, 8-bit steps", limits.x_hat_steps, {i.image: i.graph_steps for i in images}),
        *([_of_backends(exactness)] if exactness else []),
        *_of_half(limits, images),
    ]


def _of_graphs(limits: Thresholds, subgraphs: list[SubgraphResult]) -> list[Finding]:
    """Judge the subgraphs of each precision by the limit of that precision."""
    precisions = sorted({s.precision for s in subgraphs}, reverse=True)
    return [
        _worst(
            "graphs: relative error" if len(precisions) == 1 else f"graphs in {precision}: relative error",
            limits.relative_error.of(precision),
            {f"{s.subgraph} {s.tensor}": s.relative_error for s in subgraphs if s.precision == precision},
        )
        for precision in precisions
    ]


def _of_half(limits: Thresholds, images: list[ImageResult]) -> list[Finding]:
    """Judge what rounding to fp16 costs, if it was emulated."""
    emulated = [i for i in images if i.half_file_bytes is not None and i.half_psnr_db is not None]
    if not emulated:
        return []
    return [
        _of_images(
            "fp16, emulated: size over fp32's",
            limits,
            limits.half_rate_cost,
            emulated,
            lambda i: (i.half_file_bytes or 0) / i.file_bytes - 1,
        ),
        _of_images(
            "fp16, emulated: PSNR lost, dB",
            limits,
            limits.half_psnr_lost_db,
            emulated,
            lambda i: psnr_lost(i.file_psnr_db, i.half_psnr_db or 0),
        ),
    ]


def judge_end_to_end(limits: Thresholds, images: list[EndToEndResult]) -> list[Finding]:
    """Judge the parity of a no-entropy bundle.

    Parameters
    ----------
    limits : Thresholds
        The largest accepted errors.
    images : list of EndToEndResult
        Rates and pictures.

    Returns
    -------
    list of Finding
        The verdict on each question.

    """
    rated = [i for i in images if i.graph_bpp is not None]
    lowest = min(images, key=lambda i: -_nan_last(-i.smallest_likelihood))
    findings = [
        _rate(
            "pictures: PSNR off PyTorch's, dB",
            limits,
            limits.psnr_difference_db,
            images,
            lambda i: abs(psnr_lost(i.torch_psnr_db, i.graph_psnr_db)),
        )
    ]
    if rated:
        findings += [
            _rate("rate: bits off PyTorch's", limits, limits.bits_difference, rated, _bits_off),
            _rate("rate: correlation off 1", limits, limits.correlation_lost, rated, lambda i: 1 - i.correlation),
            _finding(
                "likelihoods: 1e-9 less the smallest", 0, LIKELIHOOD_BOUND - lowest.smallest_likelihood, lowest.image
            ),
        ]
    return findings


def _bits_off(i: EndToEndResult) -> float:
    return abs((i.graph_bpp or 0) / i.torch_bpp - 1)


def _rate(
    question: str,
    limits: Thresholds,
    threshold: float,
    images: list[EndToEndResult],
    measure: Callable[[EndToEndResult], float],
) -> Finding:
    """Judge by the image that is furthest off for its size; in a small image, a single symbol weighs more."""

    def accepted(i: EndToEndResult) -> float:
        return threshold * max(1.0, limits.bits_scatter_bytes * 8 / (i.torch_bpp * i.width * i.height))

    worst = max(images, key=lambda i: _nan_last(measure(i) - accepted(i)))
    return _finding(question, accepted(worst), measure(worst), worst.image)


def _of_backends(exactness: list[BackendResult]) -> Finding:
    differing = [b for b in exactness if b.differing]
    worst = max(differing, key=lambda b: b.differing).backend if differing else f"{len(exactness)} backends"
    return _finding("backends: symbols differing", 0, sum(b.differing for b in exactness), worst)


def _finding(question: str, threshold: float, measured: float, worst: str) -> Finding:
    # A NaN fails this comparison.
    return Finding(
        question=question, measured=measured, threshold=threshold, worst=worst, passed=bool(measured <= threshold)
    )


def _worst(question: str, threshold: float, measured: dict[str, float]) -> Finding:
    name = max(measured, key=lambda n: _nan_last(measured[n]))
    return _finding(question, threshold, measured[name], name)


def _nan_last(value: float) -> float:
    """Return a key for `max` by which a NaN is worse than any number."""
    return math.inf if math.isnan(value) else value


def _scatter(limits: Thresholds, size: int) -> float:
    return max(1.0, limits.scatter_bytes / size)


def _of_images(
    question: str,
    limits: Thresholds,
    threshold: float,
    images: list[ImageResult],
    measure: Callable[[ImageResult], float],
) -> Finding:
    """Judge by the image that is furthest off for the size of its file."""
    worst = max(images, key=lambda i: _nan_last(measure(i) - threshold * _scatter(limits, i.file_bytes)))
    return _finding(question, threshold * _scatter(limits, worst.file_bytes), measure(worst), worst.image)


def _over_ideal(limits: Thresholds, images: list[ImageResult]) -> Finding:
    """Judge the bytes of a stream over its ideal length: the cost of its end, and what the coder loses per symbol."""

    def over(i: ImageResult) -> float:
        return (i.stream_bytes - i.ideal_bytes) / i.streams

    def accepted(i: ImageResult) -> float:
        return limits.stream_end_bytes + limits.coding_overhead * i.ideal_bytes / i.streams

    worst = max(images, key=lambda i: _nan_last(over(i) - accepted(i)))
    return _finding("streams: bytes each over the ideal", accepted(worst), over(worst), worst.image)
