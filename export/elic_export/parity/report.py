"""The schema of `parity.json`: what was measured, and whether it passes. It can be read without what measured it."""

from typing import Any, Literal

from elic_runtime.manifest import GraphPrecision
from elic_runtime.plain_json import plain
from pydantic import BaseModel, ConfigDict, SerializationInfo, SerializerFunctionWrapHandler, model_serializer


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
