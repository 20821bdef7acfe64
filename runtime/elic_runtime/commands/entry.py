"""What the script `elic` starts: the command line, or one line that says what it lacks."""

import sys


def main() -> None:
    """Run the command line, which a plain install of the library does not have."""
    try:
        from elic_runtime.commands.cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.stderr.write(f"error: the command line needs the package {error.name}: pip install 'elic-deploy[cli]'\n")
        sys.exit(2)
    run()
