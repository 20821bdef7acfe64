"""`python -m elic_runtime` is `elic`."""

from elic_runtime.cli import main

if __name__ == "__main__":
    main()
