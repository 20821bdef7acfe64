"""Checkpoint files: reading, unwrapping, matching names and shapes, loading."""
