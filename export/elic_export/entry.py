"""The entry point of the script `elic-export`: it runs the command line, or names the package that is missing."""

from elic_runtime.commands.entry import start


def main() -> None:
    """Run the command line, whose packages a plain install of the library does not include."""
    start("elic_export.cli", "export")
