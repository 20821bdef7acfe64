"""The parity report: what was measured, and whether it passes. Stored as `parity.json`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from elic_export.config import Thresholds

REPORT_NAME = "parity.json"
HTML_NAME = "parity.html"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubgraphResult(_Part):
    """One output of a subgraph against PyTorch, over all tiles of all images."""

    subgraph: str
    tensor: str
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


class ImageResult(_Part):
    """One image, end to end.

    streams: how many there are; ideal_bytes knows nothing of their ends.
    likelihood_bpp, forward_psnr_db: of PyTorch's forward. torch_*: of its streams, as
    CompressAI codes them, decoded. file_*: of the real `.elic` file, stream_bytes
    without its header and checksums. ideal_bytes: by the quantized CDFs.
    graph_steps: x_hat of g_s against PyTorch's from the same y_hat, file_steps: of the
    decoded file against PyTorch's decoded streams, both in steps of 1/255. The latter
    has no threshold: one value that rounds the other way moves a patch, in neither
    direction better.
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
    forward_psnr_db: float
    torch_psnr_db: float
    file_psnr_db: float
    graph_steps: int
    file_steps: int


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
    passes: list[PassResult]
    images: list[ImageResult]
    streams_compared: int
    streams_differing: int
    operators: dict[str, dict[str, int]]


def judge(
    limits: Thresholds,
    subgraphs: list[SubgraphResult],
    passes: list[PassResult],
    images: list[ImageResult],
    streams_differing: int,
) -> list[Finding]:
    """Every question's verdict, from what was measured."""
    symbols = sum(p.symbols for p in passes)
    indexes = sum(p.differing_indexes for p in passes)
    differing = sum(p.differing_symbols for p in passes)
    return [
        _worst("graphs: relative error", limits.relative_error, {s.subgraph: s.relative_error for s in subgraphs}),
        _finding(
            "passes: scale indexes differing", limits.index_fraction, indexes / symbols, f"{indexes} of {symbols}"
        ),
        _finding("passes: symbols differing", limits.symbol_fraction, differing / symbols, f"{differing} of {symbols}"),
        _finding("streams: not CompressAI's bytes", 0, streams_differing, "all streams"),
        _worst(
            "streams: size over PyTorch's",
            limits.size_difference,
            {i.image: i.stream_bytes / i.torch_bytes - 1 for i in images},
        ),
        _over_ideal(limits, images),
        _worst(
            "pictures: PSNR off PyTorch's, dB",
            limits.psnr_difference_db,
            {i.image: abs(i.file_psnr_db - i.torch_psnr_db) for i in images},
        ),
        _worst("pictures: g_s off, 8-bit steps", limits.x_hat_steps, {i.image: i.graph_steps for i in images}),
    ]


def _finding(question: str, threshold: float, measured: float, worst: str) -> Finding:
    # Written so that a NaN fails.
    return Finding(
        question=question, measured=measured, threshold=threshold, worst=worst, passed=bool(measured <= threshold)
    )


def _worst(question: str, threshold: float, measured: dict[str, float]) -> Finding:
    name = max(measured, key=lambda n: measured[n] if measured[n] == measured[n] else float("inf"))
    return _finding(question, threshold, measured[name], name)


def _over_ideal(limits: Thresholds, images: list[ImageResult]) -> Finding:
    """Bytes of a stream over its ideal length: what its end costs, and what the coder loses on the way."""

    def over(i: ImageResult) -> float:
        return (i.stream_bytes - i.ideal_bytes) / i.streams

    def accepted(i: ImageResult) -> float:
        return limits.stream_end_bytes + limits.coding_overhead * i.ideal_bytes / i.streams

    worst = max(images, key=lambda i: over(i) - accepted(i))
    return _finding("streams: bytes each over the ideal", accepted(worst), over(worst), worst.image)
