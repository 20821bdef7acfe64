"""What can go wrong in an export; every message is one line."""


class ExportError(Exception):
    """Base of the exporter's errors on bad input."""


class ConfigError(ExportError):
    """An export config that is not valid; the message names the file, the key and the line."""


class OperatorError(ExportError):
    """A graph with an operator that the form or the target does not allow."""


class InexactError(ExportError):
    """A layer that exact arithmetic cannot hold, or that cannot be proved to be exact."""

    def __init__(self, layer: str, cause: str) -> None:
        super().__init__(f"{layer}: not exact: {cause} (`arithmetic: float` in the config exports the model as it is)")
