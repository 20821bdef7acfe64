"""The parity report: what was measured, and whether it passes. Stored as `parity.json`."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from elic_runtime.manifest import GraphPrecision
from elic_runtime.plain_json import plain
from pydantic import BaseModel, ConfigDict, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from elic_export.config import Thresholds
from elic_export.metrics import psnr_lost

LIKELIHOOD_BOUND = float(np.float32(1e-9))
"""Below which no likelihood is, in float32."""

REPORT_NAME = "parity.json"
HTML_NAME = "parity.html"


class _Part(BaseModel):
    """Read from its JSON it is the same again, with what JSON has no numbers for: see `plain_json.py`."""

    model_config = ConfigDict(extra="forbid")

    @model_serializer(mode="wrap")
    def _serialize(self, fields: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        return plain(fields(self)) if info.mode == "json" else fields(self)


class SubgraphResult(_Part):
    """One output of a subgraph against PyTorch, over all tiles of all images.

    precision: of the subgraph, by which its error is judged.
    psnr_db: infinite if the graph gives PyTorch's very numbers.
    """

    subgraph: str
    tensor: str
    precision: GraphPrecision
    max_abs_error: float
    relative_error: float
    cosine: float
    psnr_db: float


class PassResult(_Part):
    """One pass: how many scale indexes and symbols the graph gives otherwise than PyTorch."""

    slice: int
    half: Literal["anchor", "nonanchor"]
    symbols: int = 0
    differing_indexes: int = 0
    differing_symbols: int = 0


class BackendResult(_Part):
    """How many symbols a backend would decode otherwise than PyTorch's integers encode them."""

    backend: str
    symbols: int = 0
    differing: int = 0


class LayerResult(_Part):
    """The proof of one layer: what `exactness.LayerProof` says."""

    layer: str
    terms: int
    largest_weight: int
    largest_sum: int


class ImageResult(_Part):
    """One image, end to end.

    streams: how many there are; ideal_bytes knows nothing of their ends.
    likelihood_bpp, forward_psnr_db: of PyTorch's forward. torch_*: of its streams, as
    CompressAI codes them, decoded. file_*: of the real `.elic` file, stream_bytes
    without its header and checksums. ideal_bytes: of the deployed model's symbols, by the
    quantized CDFs. float_file_bytes: of a file that the checkpoint's own means and scales
    would give, by the same thresholds.
    graph_steps: x_hat of g_s against PyTorch's from the same y_hat, file_steps: of the
    decoded file against PyTorch's decoded streams, both in steps of 1/255. The latter
    has no threshold: one value that rounds the other way moves a patch, in neither
    direction better.
    *_psnr_db: infinite for a picture that equals the photograph.
    half_*: of a file that emulated fp16 writes and reads, for a bundle in fp16 or mixed precision.
    """

    image: str
    width: int
    height: int
    likelihood_bpp: float
    torch_bpp: float
    file_bpp: float
    ideal_bytes: float
    torch_bytes: int
    streams: int
    stream_bytes: int
    file_bytes: int
    float_file_bytes: int
    forward_psnr_db: float
    torch_psnr_db: float
    file_psnr_db: float
    graph_steps: int
    file_steps: int
    half_file_bytes: int | None = None
    half_psnr_db: float | None = None

    @property
    def rate_cost(self) -> float:
        """How much larger the file is for its arithmetic, relative."""
        return self.file_bytes / self.float_file_bytes - 1


class EndToEndResult(_Part):
    """One image through `no_entropy`.

    torch_*: of the same model in PyTorch, bpp by CompressAI's likelihoods; graph_*: of the graph.
    graph_bpp: None if it was exported without likelihoods.
    correlation: of both sides' bits, symbol by symbol, where it is least: their sum alone
    would not tell that they are in another order.
    graph_steps: between the two pictures, in steps of 1/255.
    """

    image: str
    width: int
    height: int
    torch_psnr_db: float
    graph_psnr_db: float
    graph_steps: int
    torch_bpp: float
    graph_bpp: float | None
    correlation: float
    smallest_likelihood: float


class Finding(_Part):
    """One question: the worst number measured, what is accepted, and the verdict."""

    question: str
    measured: float
    threshold: float
    worst: str
    passed: bool


class Report(_Part):
    """A bundle's parity with PyTorch."""

    checkpoint_sha256: str
    fingerprint: str
    form: str
    shape: str
    precision: str
    arithmetic: str
    passed: bool
    findings: list[Finding]
    subgraphs: list[SubgraphResult]
    passes: list[PassResult] = []
    images: list[ImageResult] = []
    end_to_end: list[EndToEndResult] = []
    exactness: list[BackendResult] = []
    layers: list[LayerResult]
    streams_compared: int = 0
    streams_differing: int = 0
    operators: dict[str, dict[str, int]]


def judge(
    limits: Thresholds,
    subgraphs: list[SubgraphResult],
    passes: list[PassResult],
    images: list[ImageResult],
    streams_differing: int,
    exactness: list[BackendResult],
) -> list[Finding]:
    """Every question's verdict, from what was measured."""
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
    """The subgraphs of each precision by themselves: one in fp32 is not allowed what fp16 rounds."""
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
    """What rounding to fp16 costs, where it is emulated."""
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
    """Every question's verdict on the graph `no_entropy`."""
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
    """The image that is furthest off for its size: one symbol that rounds otherwise weighs more in a small one."""

    def accepted(i: EndToEndResult) -> float:
        return threshold * max(1.0, limits.bits_scatter_bytes * 8 / (i.torch_bpp * i.width * i.height))

    worst = max(images, key=lambda i: _nan_last(measure(i) - accepted(i)))
    return _finding(question, accepted(worst), measure(worst), worst.image)


def _of_backends(exactness: list[BackendResult]) -> Finding:
    differing = [b for b in exactness if b.differing]
    worst = max(differing, key=lambda b: b.differing).backend if differing else f"{len(exactness)} backends"
    return _finding("backends: symbols differing", 0, sum(b.differing for b in exactness), worst)


def _finding(question: str, threshold: float, measured: float, worst: str) -> Finding:
    # Written so that a NaN fails.
    return Finding(
        question=question, measured=measured, threshold=threshold, worst=worst, passed=bool(measured <= threshold)
    )


def _worst(question: str, threshold: float, measured: dict[str, float]) -> Finding:
    name = max(measured, key=lambda n: _nan_last(measured[n]))
    return _finding(question, threshold, measured[name], name)


def _nan_last(value: float) -> float:
    """For `max`: a NaN is worse than any number."""
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
    """The image that comes nearest to what is accepted of a file of its size, or is over it."""
    worst = max(images, key=lambda i: _nan_last(measure(i) - threshold * _scatter(limits, i.file_bytes)))
    return _finding(question, threshold * _scatter(limits, worst.file_bytes), measure(worst), worst.image)


def _over_ideal(limits: Thresholds, images: list[ImageResult]) -> Finding:
    """Bytes of a stream over its ideal length: what its end costs, and what the coder loses on the way."""

    def over(i: ImageResult) -> float:
        return (i.stream_bytes - i.ideal_bytes) / i.streams

    def accepted(i: ImageResult) -> float:
        return limits.stream_end_bytes + limits.coding_overhead * i.ideal_bytes / i.streams

    worst = max(images, key=lambda i: _nan_last(over(i) - accepted(i)))
    return _finding("streams: bytes each over the ideal", accepted(worst), over(worst), worst.image)
