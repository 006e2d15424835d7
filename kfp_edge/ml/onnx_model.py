"""An ONNX model that describes itself: its signature travels in the file's own metadata."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as _ort
from pydantic import ValidationError

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Datatype, InputTensor, Signature
from kfp_edge.ml.metrics import Predictions

#: Key in the ONNX file's metadata under which the signature lies, as JSON.
SIGNATURE_KEY = "kfp_edge.signature"

#: What onnxruntime raises on a model that it does not take; they have no base of their own.
_ERRORS = (_ort.Fail, _ort.InvalidArgument, _ort.InvalidGraph, _ort.NotImplemented, _ort.RuntimeException)

#: Datatype of the Open Inference Protocol -> ONNX element type, and the type of its elements in NumPy.
_TYPES: dict[Datatype, tuple[int, Any]] = {
    "BOOL": (onnx.TensorProto.BOOL, np.bool_),
    "UINT8": (onnx.TensorProto.UINT8, np.uint8),
    "UINT16": (onnx.TensorProto.UINT16, np.uint16),
    "UINT32": (onnx.TensorProto.UINT32, np.uint32),
    "UINT64": (onnx.TensorProto.UINT64, np.uint64),
    "INT8": (onnx.TensorProto.INT8, np.int8),
    "INT16": (onnx.TensorProto.INT16, np.int16),
    "INT32": (onnx.TensorProto.INT32, np.int32),
    "INT64": (onnx.TensorProto.INT64, np.int64),
    "FP16": (onnx.TensorProto.FLOAT16, np.float16),
    "FP32": (onnx.TensorProto.FLOAT, np.float32),
    "FP64": (onnx.TensorProto.DOUBLE, np.float64),
    "BYTES": (onnx.TensorProto.STRING, np.object_),
}

#: ONNX element type -> datatype of the Open Inference Protocol.
DATATYPES: dict[int, Datatype] = {element: datatype for datatype, (element, _) in _TYPES.items()}


def parse(path: Path) -> onnx.ModelProto:
    """Read an ONNX file and check it as the ONNX specification asks.

    Raises:
        KfpEdgeError: the file is missing, truncated, altered so that it is no longer valid, or no ONNX model.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
    except OSError as error:
        raise KfpEdgeError(f"cannot read the model {path}: {error.strerror}.") from error
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise KfpEdgeError(f"the model {path} is no valid ONNX file ({reason}); export it again.") from error
    return model


def stated_signature(proto: onnx.ModelProto) -> Signature | None:
    """Return the signature that an ONNX model carries, if it does.

    Raises:
        KfpEdgeError: it carries one that does not follow the bundle contract.
    """
    for entry in proto.metadata_props:
        if entry.key == SIGNATURE_KEY:
            try:
                return Signature.model_validate_json(entry.value)
            except ValidationError as error:
                raise KfpEdgeError("the signature in the ONNX model is damaged; export the model again.") from error
    return None


class OnnxModel:
    """A parsed ONNX model with its signature, ready to run on data frames."""

    def __init__(self, proto: onnx.ModelProto, signature: Signature) -> None:
        self.proto = proto
        self.signature = signature
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except _ERRORS as error:
            raise KfpEdgeError(f"onnxruntime cannot run this model: {str(error).splitlines()[0]}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a model that `export` wrote.

        Raises:
            KfpEdgeError: the file is damaged or carries no signature.
        """
        proto = parse(path)
        signature = stated_signature(proto)
        if signature is None:
            raise KfpEdgeError(f"the model {path} carries no signature; pass it through the export stage first.")
        return cls(proto, signature)

    def feeds(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        """Turn rows into input tensors, one array of shape [rows, columns] an input."""
        return {tensor.name: _tensor(frame, tensor) for tensor in self.signature.inputs}

    def predict(self, frame: pd.DataFrame) -> Predictions:
        """Run the model on rows that have the signature's columns."""
        names = [output.name for output in self.signature.outputs]
        answer = dict(zip(names, self.session.run(names, self.feeds(frame)), strict=True))
        outputs = {output.name: output for output in self.signature.outputs}
        if "score" in answer:
            threshold = outputs["score"].threshold or 0.0
            return Predictions(answer["label"], score=answer["score"], classes=(0, 1), threshold=threshold)
        classes = outputs["probabilities"].classes or ()
        integers = outputs["label"].datatype != "BYTES"
        known = tuple(int(name) for name in classes) if integers else classes
        return Predictions(answer["label"], probabilities=answer["probabilities"], classes=known)


def _tensor(frame: pd.DataFrame, tensor: InputTensor) -> np.ndarray[Any, Any]:
    names = [column.name for column in tensor.columns]
    missing = [name for name in names if name not in frame]
    if missing:
        raise KfpEdgeError(f"the model wants the column {missing[0]!r}, which the data does not have.")
    return frame[names].to_numpy(dtype=_TYPES[tensor.datatype][1])
