"""Files of other libraries that are no model here, and how their models are exported to ONNX."""

from pathlib import Path

_PYTORCH = ("a file of PyTorch", "torch.onnx.export")
_KERAS = ("a file of Keras", "tf2onnx, or model.export(format='onnx')")
_XGBOOST = ("a file of XGBoost", "convert_xgboost of onnxmltools")
#: By suffix: what such a file is, and what exports the model to ONNX.
_FORMATS = {
    ".bst": _XGBOOST,
    ".cbm": ("a file of CatBoost", "save_model(PATH, format='onnx')"),
    ".h5": _KERAS,
    ".json": _XGBOOST,
    ".keras": _KERAS,
    ".pb": ("a file of TensorFlow", "tf2onnx"),
    ".pt": _PYTORCH,
    ".pth": _PYTORCH,
    ".safetensors": ("a file of weights without their graph", "torch.onnx.export"),
    ".tflite": ("a file of TensorFlow Lite", "tf2onnx"),
    ".txt": ("a file of LightGBM or a text", "convert_lightgbm of onnxmltools"),
    ".ubj": _XGBOOST,
}


def explain_format(path: Path) -> str:
    """Return what a file is that is neither an ONNX model nor one of skops, and what to do; "" if it is not known."""
    if path.suffix.lower() not in _FORMATS:
        return ""
    kind, exporter = _FORMATS[path.suffix.lower()]
    return f"{path} is {kind}, and ONNX or skops is needed; export the model with {exporter}."
