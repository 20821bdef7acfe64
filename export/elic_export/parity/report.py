"""The schema of `parity.json`: what was measured, and the verdicts. Reading it needs neither PyTorch nor ONNX."""

from typing import Any, Literal

from elic_runtime.entries import GraphPrecision
from elic_runtime.plain_json import plain
from pydantic import BaseModel, ConfigDict, SerializationInfo, SerializerFunctionWrapHandler, model_serializer


class _Part(BaseModel):
    """Base class whose JSON round trip keeps NaN and infinity, for which JSON has no numbers; see `plain_json.py`."""

    model_config = ConfigDict(extra="forbid")

    @model_serializer(mode="wrap")
    def _serialize(self, fields: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        return plain(fields(self)) if info.mode == "json" else fields(self)


class SubgraphResult(_Part):
    """Error of one output of a subgraph against PyTorch, over all tiles of all images.

    Parameters
    ----------
    subgraph, tensor : str
        The subgraph, and the role of the output.
    precision : {"fp32", "fp16"}
        Precision of the subgraph, which its limit depends on.
    max_abs_error : float
        Largest absolute error.
    relative_error : float
        The same over the range of PyTorch's output, or over 1 if that is larger.
    cosine : float
        Cosine of the angle between PyTorch's output and the graph's.
    psnr_db : float
        PSNR in dB, infinite if both outputs are equal.

    """

    subgraph: str
    tensor: str
    precision: GraphPrecision
    max_abs_error: float
    relative_error: float
    cosine: float
    psnr_db: float


class PassResult(_Part):
    """Differences of one pass, over all tiles of all images.

    Parameters
    ----------
    slice : int
        The slice.
    half : {"anchor", "nonanchor"}
        The pass.
    symbols : int
        Number of symbols that were compared.
    differing_indexes, differing_symbols : int
        Number of scale indexes, and of symbols, that differ from PyTorch's.

    """

    slice: int
    half: Literal["anchor", "nonanchor"]
    symbols: int = 0
    differing_indexes: int = 0
    differing_symbols: int = 0


class BackendResult(_Part):
    """Differences of one backend, over all tiles of all images.

    Parameters
    ----------
    backend : str
        Name of the backend.
    symbols : int
        Number of symbols that were compared.
    differing : int
        Number of symbols that it would decode otherwise than PyTorch encodes them.

    """

    backend: str
    symbols: int = 0
    differing: int = 0


class LayerResult(_Part):
    """The proof of one layer, with the fields of `exact.proof.LayerProof`."""

    layer: str
    terms: int
    largest_weight: int
    largest_sum: int


class ImageResult(_Part):
    """Results of one image, compressed to a file and decompressed.

    A PSNR is infinite for a picture that equals the photograph.

    Parameters
    ----------
    image : str
        Name of the photograph's file.
    width, height : int
        Its size in pixels.
    likelihood_bpp, forward_psnr_db : float
        Rate, by the likelihoods, and PSNR of PyTorch's `forward`.
    torch_bpp, torch_bytes, torch_psnr_db : float, int, float
        Rate and size of the streams of PyTorch's `compress`, and PSNR of the picture that `decompress` makes of them.
    file_bpp, file_bytes, file_psnr_db : float, int, float
        Rate and size of the `.elic` file that the bundle writes, and PSNR of the picture that it decodes.
    streams : int
        Number of streams in the file.
    stream_bytes : int
        Size of the streams in the file, without its header and checksums.
    ideal_bytes : float
        Ideal code length of the symbols in the bundle's arithmetic, by the quantized CDFs.
    float_file_bytes : int
        Size of the file that the checkpoint's own means and scales would give, with the same scale thresholds.
    graph_steps : int
        Largest difference of the picture of g_s from PyTorch's for the same y_hat, in steps of 1/255.
    file_steps : int
        Largest difference of the decoded file from the picture of PyTorch's `decompress`, in steps of 1/255. It has no
        threshold, since one symbol that rounds the other way changes a patch without making it worse.
    half_file_bytes, half_psnr_db : int, float, optional
        Size and PSNR of the file that emulated fp16 writes and reads, for bundles in fp16 or mixed precision.

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
        """How much larger the file is than one in float arithmetic, as a share of that one."""
        return self.file_bytes / self.float_file_bytes - 1


class EndToEndResult(_Part):
    """Results of one image in the graph `no_entropy`.

    Parameters
    ----------
    image : str
        Name of the photograph's file.
    width, height : int
        Its size in pixels.
    torch_psnr_db, torch_bpp : float
        PSNR, and rate by CompressAI's likelihoods, of the same model in PyTorch.
    graph_psnr_db, graph_bpp : float
        The same of the graph. The rate is None if the graph was exported without likelihoods.
    graph_steps : int
        Largest difference between the two pictures, in steps of 1/255.
    correlation : float
        Smallest correlation, over tiles and likelihoods, of both sides' bits symbol by symbol. Unlike the rate, it
        shows whether they are in the same order.
    smallest_likelihood : float
        Smallest likelihood that the graph gives.

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
    """The verdict on one question.

    Parameters
    ----------
    question : str
        What was compared, and by which measure.
    measured : float
        The worst value that was measured.
    threshold : float
        The largest accepted value.
    worst : str
        The output, image or backend that the worst value is of.
    passed : bool
        Whether the value is accepted.

    """

    question: str
    measured: float
    threshold: float
    worst: str
    passed: bool


class Report(_Part):
    """The parity of a bundle with PyTorch.

    Parameters
    ----------
    checkpoint_sha256, fingerprint, form, precision, arithmetic : str
        What the bundle's manifest states.
    shape : str
        Image sizes that its encoder takes, height x width.
    passed : bool
        Whether all findings passed.
    findings : list of Finding
        The verdict on each question.
    subgraphs, passes, images, end_to_end, exactness, layers : list
        The measurements.
    streams_compared, streams_differing : int
        Number of streams that were coded from PyTorch's symbols, and of those whose bytes differ from CompressAI's.
    operators : dict of dict of int
        How often each operator occurs, by subgraph.

    """

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
