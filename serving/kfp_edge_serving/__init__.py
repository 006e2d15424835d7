"""The inference server: Open Inference Protocol v2 over onnxruntime."""
