"""Models: bundles, onnxruntime sessions and the model repository."""
