"""Models and the data they learn from: bundle, dataset, metrics, ONNX, skops."""
