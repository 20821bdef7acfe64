"""What can go wrong, as types. Every message is one line that says what to do."""


class ElicError(Exception):
    """Base of all errors that the runtime raises on bad input."""


class BundleError(ElicError):
    """A bundle that is missing, incomplete, edited, of another format version, or does not run."""


class NotFiniteError(BundleError):
    """A subgraph that gives NaN or infinity."""


class ConformanceError(ElicError):
    """A backend that does not compute the integers of an exact bundle: its files could be read nowhere else."""


class ImageError(ElicError):
    """An image that cannot be read, or whose pixels the codec does not code."""


class CoderError(ElicError):
    """Symbols that cannot be coded, a stream that is not theirs, or a coder of an unknown name."""


class ContainerError(ElicError):
    """A compressed file that cannot be decoded; the kinds below say why."""


class FormatError(ContainerError):
    """Not an `.elic` file, of a later version, or with fields out of bounds."""


class TruncatedError(ContainerError):
    """The file ends before its streams do."""


class ChecksumError(ContainerError):
    """Bytes differ from those that were written."""


class WrongBundleError(ContainerError):
    """A whole file, written with another checkpoint, arithmetic or tile size."""


class DesyncError(ContainerError):
    """Bytes are whole, decoded symbols are not those that were encoded.

    The two ends computed different scale indexes: same bundle, other arithmetic.
    """
