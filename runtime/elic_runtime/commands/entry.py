"""The entry point of the script `elic`: it runs the command line, or names the package that is missing."""

import sys
from importlib import import_module


def main() -> None:
    """Run the command line, whose packages a plain install of the library does not include."""
    start("elic_runtime.commands.cli", "cli")


def start(module: str, extra: str) -> None:
    """Run a command line.

    Parameters
    ----------
    module : str
        The module whose function `main` is the command line.
    extra : str
        The extra of this distribution that installs the packages which the module needs.

    """
    try:
        run = import_module(module).main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("elic_"):
            raise
        sys.stderr.write(f"error: this needs the package {error.name}: pip install 'elic-deploy[{extra}]'\n")
        sys.exit(2)
    run()
