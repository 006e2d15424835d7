"""Converters of skl2onnx of our own, for what it lacks or computes in float32 where that is not exact."""
