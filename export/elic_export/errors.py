"""What can go wrong in an export; every message is one line."""


class ExportError(Exception):
    """Base of the exporter's errors on bad input."""


class ConfigError(ExportError):
    """An export config that is not valid; the message names the file, the key and the line."""


class OperatorError(ExportError):
    """A graph with an operator that the form or the target does not allow."""
