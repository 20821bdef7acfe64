"""`python -m elic_runtime` is `elic`."""

from elic_runtime.commands.cli import main

if __name__ == "__main__":
    main()
