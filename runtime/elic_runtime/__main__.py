"""Makes `python -m elic_runtime` the same as the command `elic`."""

from elic_runtime.commands.entry import main

if __name__ == "__main__":
    main()
