"""What an evaluation measures, as data: one point for each photograph, codec and setting."""

from pydantic import BaseModel, ConfigDict

FORMAT = 1
"""Version of `results.json` and of the lines of `results.jsonl`."""


class Data(BaseModel):
    """Data that is read and written as JSON, and does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Grid(Data):
    """How a photograph was padded and cut.

    Parameters
    ----------
    rows, columns : int
        Tiles that were coded on their own; one latent is 1 and 1.
    height, width : int
        Size of a tile in pixels.

    """

    rows: int
    columns: int
    height: int
    width: int


class Point(Data):
    """One photograph, coded by one codec at one setting.

    Parameters
    ----------
    image : str
        Name of the photograph's file.
    codec : str
        Label of the bundle, or name of the anchor, such as `JPEG`.
    setting : str
        For people: `step 1.5`, or `quality 43`.
    step : float, optional
        How coarsely a bundle rounded; of an anchor, the step of the file whose size it was to match.
    quality : int, optional
        An anchor's own setting.
    width, height : int
        Size of what was coded, in pixels.
    bytes : int, optional
        Size of the file, container included; None of a no-entropy graph, which writes none.
    bpp : float, optional
        Bits per pixel of the photograph; None if the bundle has no likelihoods.
    psnr_db : float, optional
        PSNR over R, G and B, in dB; None if the pictures are equal.
    equal : bool
        Whether the decoded picture equals the photograph.
    ms_ssim : float, optional
        MS-SSIM, from 0 to 1; None if it was not asked for, or the picture is too small for five scales.
    ssimulacra2 : float, optional
        SSIMULACRA2, up to 100; None if it was not asked for, or the picture is too small.
    encode_s, decode_s : float, optional
        Seconds that the codec took; None if they were not measured.
    grid : Grid, optional
        How a bundle padded and cut it.

    """

    image: str
    codec: str
    setting: str
    step: float | None = None
    quality: int | None = None
    width: int
    height: int
    bytes: int | None = None
    bpp: float | None = None
    psnr_db: float | None = None
    equal: bool = False
    ms_ssim: float | None = None
    ssimulacra2: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    grid: Grid | None = None


class ImageResult(Data):
    """All points of one photograph, or why there are none.

    Parameters
    ----------
    image : str
        Name of its file.
    points : tuple of Point
        Bundle by bundle, step by step, then the anchors.
    error : str, optional
        Why it could not be evaluated.

    """

    image: str
    points: tuple[Point, ...] = ()
    error: str | None = None


class BundleFacts(Data):
    """A bundle that was evaluated.

    Parameters
    ----------
    label : str
        Its folder's name; with the names of folders above it where two would be the same.
    form, shape, precision, arithmetic : str
        As its manifest states them; the shape as height x width.
    checkpoint_sha256, fingerprint : str
        Which checkpoint, and which streams it reads.
    runner : str
        What ran the transforms.

    """

    label: str
    form: str
    shape: str
    precision: str
    arithmetic: str
    checkpoint_sha256: str
    fingerprint: str
    runner: str


class Evaluation(Data):
    """Everything that an evaluation measured: `results.json`.

    Parameters
    ----------
    version : int
        `FORMAT`.
    machine : str
        Processor, instruction set and threads, without which times say nothing.
    bundles : tuple of BundleFacts
        In the order in which they were named.
    anchors : tuple of str
        Names of the other codecs.
    steps : tuple of float
        In the order in which they were tried.
    resize : str, optional
        Size to which every photograph was resized, as height x width; None if it was coded as it is.
    images : tuple of ImageResult
        In the order of their names.

    """

    version: int = FORMAT
    machine: str
    bundles: tuple[BundleFacts, ...]
    anchors: tuple[str, ...]
    steps: tuple[float, ...]
    resize: str | None
    images: tuple[ImageResult, ...]


class Stream(Data):
    """A part of a file: its label (`z`, `slice 0, anchors`, `slice 0, others`) and its size in bytes."""

    label: str
    bytes: int


class Stage(Data):
    """A stage of coding, such as `g_a_h_a` or `entropy coding`, and its seconds."""

    name: str
    seconds: float


class Preview(Data):
    """What a beginning of a file gives: its last `Stream`'s label, the share of the bytes, PSNR, the picture's file."""

    label: str
    share: float
    psnr_db: float | None
    file: str


class Details(Data):
    """One photograph shown closely, at one step of one bundle; files are names in the report's folder `pictures`.

    Parameters
    ----------
    image, codec : str
        As in `Point`.
    step : float
        How coarsely it was rounded.
    width, height : int
        Size of the pictures `original` and `decoded`, in pixels.
    shown : str
        Which part of the photograph they show, for people; empty if all of it.
    original, decoded : str
        The pictures, lossless.
    error : str
        Heat map of the mean absolute error over R, G and B, as large as they are.
    error_scale : float
        The error that has the map's last colour, in 8-bit steps; it is the same for all images of a report.
    bits : str
        Map of bits over the photograph, one pixel for each position of y (16x16 pixels).
    bits_scale : float
        The bits per pixel that have the map's last colour.
    streams : tuple of Stream
        The file, part by part.
    encode, decode : tuple of Stage
        Where the time went.
    progressive : tuple of Preview
        After z and after each pass.

    """

    image: str
    codec: str
    step: float
    width: int
    height: int
    shown: str = ""
    original: str
    decoded: str
    error: str
    error_scale: float
    bits: str
    bits_scale: float
    streams: tuple[Stream, ...]
    encode: tuple[Stage, ...]
    decode: tuple[Stage, ...]
    progressive: tuple[Preview, ...]
