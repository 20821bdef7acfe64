"""The `elic` command, and what it prints for people."""
