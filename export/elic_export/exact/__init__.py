"""Integer context arithmetic: photographs to a calibration, a calibration to a quantized model, and its proof."""
