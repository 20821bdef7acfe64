"""ELIC from PyTorch to ONNX bundles, and the proof that they are still the model."""
