"""`python -m elic_export` is `elic-export`."""

from elic_export.cli import main

if __name__ == "__main__":
    main()
