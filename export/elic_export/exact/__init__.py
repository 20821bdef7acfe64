"""Exact integer arithmetic for h_s and the context model: calibration, quantization and proof."""
