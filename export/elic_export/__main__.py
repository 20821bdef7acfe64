"""Makes `python -m elic_export` the same as the command `elic-export`."""

from elic_export.entry import main

if __name__ == "__main__":
    main()
