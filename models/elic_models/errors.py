"""What can go wrong with a checkpoint."""


class CheckpointError(Exception):
    """A checkpoint that cannot be loaded or converted; the message is one line and says why."""
