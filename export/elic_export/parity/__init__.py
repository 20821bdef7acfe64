"""Parity of a bundle with PyTorch: measured, judged by thresholds, stored as a report, and shown."""
