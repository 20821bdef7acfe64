"""The exception that is raised for checkpoints."""


class CheckpointError(Exception):
    """Raised if a checkpoint cannot be loaded or converted.

    Parameters
    ----------
    message : str
        The reason, in one line. It may quote names from the file; characters that cannot be printed are shown as
        question marks.

    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in message))
