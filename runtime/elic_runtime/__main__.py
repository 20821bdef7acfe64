"""`python -m elic_runtime` is `elic`."""

from elic_runtime.commands.entry import main

if __name__ == "__main__":
    main()
