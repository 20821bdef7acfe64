"""The exceptions of the runtime. Every message is one line that says what is wrong and what to do."""


class ElicError(Exception):
    """Base class of all exceptions that the runtime raises for bad input.

    Examples
    --------
    >>> try:
    ...     codec.decompress(b"no file of this codec")
    ... except ElicError as error:
    ...     print(type(error).__name__)
    FormatError

    """


class BundleError(ElicError):
    """Raised if a bundle is missing, incomplete, changed or of another format version, or cannot be run."""


class NotFiniteError(BundleError):
    """Raised if a subgraph returns NaN or infinity."""


class ConformanceError(ElicError):
    """Raised if a backend does not compute an exact bundle's integers, so that no other could read its files."""


class ImageError(ElicError):
    """Raised if an image cannot be read or written, or its pixels have no single meaning in 8-bit RGB."""


class CoderError(ElicError):
    """Raised if symbols cannot be coded, a stream does not decode to its symbols, or a coder is unknown."""


class TargetError(ElicError):
    """Raised if no step gives an image the size or the quality that is asked for."""


class ContainerError(ElicError):
    """Base class of the exceptions for compressed files that cannot be decoded."""


class FormatError(ContainerError):
    """Raised if a file is not an `.elic` file, is of another version, or has a field out of bounds."""


class TruncatedError(ContainerError):
    """Raised if a file ends before its last stream does."""


class ChecksumError(ContainerError):
    """Raised if bytes of a file differ from those that were written."""


class WrongBundleError(ContainerError):
    """Raised if an undamaged file was written with another checkpoint, arithmetic or tile size."""


class DesyncError(ContainerError):
    """Raised if an undamaged file decodes to other symbols than were encoded.

    The encoder and the decoder have the same bundle, but their arithmetic computed different scale indexes.
    """
