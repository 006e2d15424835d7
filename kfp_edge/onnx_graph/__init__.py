"""The graph of an ONNX model: read, brought to one form, changed, and checked; nothing here knows the data."""
