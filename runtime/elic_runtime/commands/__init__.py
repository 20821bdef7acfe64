"""The `elic` command and its output."""
