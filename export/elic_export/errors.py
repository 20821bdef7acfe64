"""Exceptions of the exporter. Every message is one line."""


class ExportError(Exception):
    """Base class of the errors that an export raises on bad input.

    Examples
    --------
    >>> try:
    ...     elic_export.export(config, folder / "missing.pth", folder / "bundle")
    ... except ExportError as error:
    ...     print(error)
    /.../missing.pth: no such checkpoint

    """


class ConfigError(ExportError):
    """An export config is not valid. The message names the file, the line and the key."""


class OperatorError(ExportError):
    """A graph has an operator that is never allowed, or that the config does not allow."""


class InexactError(ExportError):
    """A layer cannot be computed in exact arithmetic, or cannot be proved to be exact.

    Parameters
    ----------
    layer : str
        Name of the module.
    cause : str
        Why it is not exact.

    """

    def __init__(self, layer: str, cause: str) -> None:
        super().__init__(f"{layer}: not exact: {cause} (`arithmetic: float` in the config exports the model as it is)")
