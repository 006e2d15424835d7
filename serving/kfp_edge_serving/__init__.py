"""The inference server: Open Inference Protocol v2 over onnxruntime."""

__version__ = "0.1.0"
