"""What can go wrong with a checkpoint."""


class CheckpointError(Exception):
    """A checkpoint that cannot be loaded or converted; the message is one line and says why.

    message: it may quote a file's names, which may hold anything: what does not print is shown as a question mark.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in message))
