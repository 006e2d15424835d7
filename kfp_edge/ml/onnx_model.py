"""An ONNX model that describes itself: its signature is in the metadata of the file."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

# onnxruntime has telemetry that sends to the outside, from a thread; it reads this when it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as _ort
from pydantic import ValidationError

from kfp_edge.errors import DataError, ModelError
from kfp_edge.ml.bundle import Datatype, InputTensor, Signature

#: Key in the metadata of the ONNX file; its value is the signature as JSON.
SIGNATURE_KEY = "kfp_edge.signature"
#: Key of what was changed in a model that was trained elsewhere: a JSON list of sentences.
_NOTES_KEY = "kfp_edge.notes"

#: An input or output of the model, of any datatype.
Tensor = npt.NDArray[Any]

#: What onnxruntime raises for a model or inputs that it cannot take; these classes have no common base.
_ERRORS = (_ort.Fail, _ort.InvalidArgument, _ort.InvalidGraph, _ort.NotImplemented, _ort.RuntimeException)

#: Datatype of the Open Inference Protocol -> ONNX element type and NumPy scalar type.
_TYPES: dict[Datatype, tuple[int, type[np.generic]]] = {
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


def find_datatype(proto: onnx.ModelProto, output: str) -> Datatype:
    """Return the datatype of the model's output tensor of that name."""
    return DATATYPES[find_element_type(proto, output)]


def find_element_type(proto: onnx.ModelProto, output: str) -> int:
    """Return the ONNX element type of the model's output tensor of that name."""
    return next(tensor.type.tensor_type.elem_type for tensor in proto.graph.output if tensor.name == output)


def read_proto(path: Path) -> onnx.ModelProto:
    """Read an ONNX file as it is, without the weights that are in other files.

    Raises:
        ModelError: the file is missing, truncated, or no ONNX model.
    """
    try:
        return onnx.load(path, format="protobuf", load_external_data=False)  # whatever its suffix
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}.") from error
    except DecodeError as error:
        raise ModelError(f"the model {path} is no ONNX file, or was cut short or altered; copy it again.") from error


def load_proto(path: Path) -> onnx.ModelProto:
    """Read an ONNX file, with weights in files beside it, and check it with the ONNX checker, shape inference included.

    Raises:
        ModelError: the file is missing, truncated, or no valid ONNX model; its weights are missing, or not beside it.
    """
    model = read_proto(path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"weights of the model {path} cannot be read from their file ({reason}).") from error
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _invalid_error(path, error) from error
    return model


def _invalid_error(path: Path, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()[0]
    return ModelError(f"the model {path} is no valid ONNX file ({reason}); export it again.")


def read_signature(proto: onnx.ModelProto) -> Signature | None:
    """Return the signature in the metadata of an ONNX model, or None where there is none.

    Raises:
        ModelError: it does not follow the bundle contract.
    """
    for entry in proto.metadata_props:
        if entry.key == SIGNATURE_KEY:
            try:
                return Signature.model_validate_json(entry.value)
            except ValidationError as error:
                raise ModelError("the signature in the ONNX model is damaged; export the model again.") from error
    return None


def write_signature(proto: onnx.ModelProto, signature: Signature, notes: Sequence[str] = ()) -> None:
    """Make a signature the only metadata of an ONNX model, which is changed; `notes`, if any, go beside it."""
    del proto.metadata_props[:]
    props = {SIGNATURE_KEY: signature.model_dump_json(exclude_none=True)}
    onnx.helper.set_model_props(proto, props | ({_NOTES_KEY: json.dumps(list(notes))} if notes else {}))


def read_notes(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Return what `export` changed in a model that was trained elsewhere, each in one sentence."""
    texts = [entry.value for entry in proto.metadata_props if entry.key == _NOTES_KEY]
    return tuple(json.loads(texts[0])) if texts else ()


def read_opsets(proto: onnx.ModelProto) -> dict[str, int]:
    """Return the version of each operator set by its domain, "" for ONNX's own.

    Of a set that is listed twice the last version counts, as in onnxruntime; `ai.onnx` is another name of "".
    """
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}


def open_session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Load a model into onnxruntime; it runs in one thread.

    Raises:
        ModelError: onnxruntime cannot load the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is raised, and need not be written to the log too
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except _ERRORS as error:
        raise ModelError(f"onnxruntime cannot run this model: {str(error).splitlines()[0]}") from error


def run_session(session: onnxruntime.InferenceSession, feed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all output tensors of a model by name.

    Raises:
        ModelError: the model cannot compute with these inputs, such as a category that it does not know.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feed)), strict=True))
    except _ERRORS as error:
        raise ModelError(f"the ONNX model cannot compute with these rows: {str(error).splitlines()[0]}") from error


def make_feed(inputs: Iterable[InputTensor], frame: pd.DataFrame) -> dict[str, Tensor]:
    """Return rows as input tensors by name, each of shape [rows, columns].

    Raises:
        DataError: a column of the inputs is missing, or a value does not fit.
    """
    return {tensor.name: _to_tensor(frame, tensor) for tensor in inputs}


class OnnxModel:
    """An ONNX model with its signature, loaded into onnxruntime; it runs on data frames.

    It runs in one thread: sums over trees that several threads share differ in their last bits.

    Raises:
        ModelError: onnxruntime cannot load the model.
    """

    def __init__(self, proto: onnx.ModelProto, signature: Signature) -> None:
        self.proto = proto
        self.signature = signature
        self.session = open_session(proto)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a model that `export` wrote.

        Raises:
            ModelError: the file is damaged or carries no signature.
        """
        proto = load_proto(path)
        signature = read_signature(proto)
        if signature is None:
            raise ModelError(f"the model {path} carries no signature; pass it through the export stage first.")
        return cls(proto, signature)

    def to_input_feed(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Return the rows as input tensors by name, each of shape [rows, columns].

        Raises:
            DataError: a column of the signature is missing, or a value does not fit.
        """
        return make_feed(self.signature.inputs, frame)

    def run(self, feed: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the output tensors by name, in the order of the signature.

        Raises:
            ModelError: the model cannot compute with these inputs, such as a category that it does not know.
        """
        outputs = run_session(self.session, feed)
        return {output.name: outputs[output.name] for output in self.signature.outputs}

    def replace_signature(self, signature: Signature) -> None:
        """Give the model, and its metadata, another signature of the same tensors."""
        self.signature = signature
        write_signature(self.proto, signature)


def _to_tensor(frame: pd.DataFrame, tensor: InputTensor) -> Tensor:
    names = [column.name for column in tensor.columns]
    missing = [name for name in names if name not in frame]
    if missing:
        raise DataError(f"the model needs the column {missing[0]!r}, which the data does not have.")
    dtype = _TYPES[tensor.datatype][1]
    if issubclass(dtype, np.integer | np.bool_):
        _check_whole_numbers(frame[names], tensor, dtype)
    return frame[names].to_numpy(dtype=dtype)


def _check_whole_numbers(frame: pd.DataFrame, tensor: InputTensor, dtype: type[np.generic]) -> None:
    """Refuse values that would become others as integers: missing ones, fractions, and those out of bounds."""
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if issubclass(dtype, np.integer) else (0, 1)
    for name in frame:
        values = frame[name].to_numpy(np.float64)
        is_whole = (values == np.floor(values)) & (values >= low) & (values <= high)
        if not is_whole.all():
            value = float(values[~is_whole][0])
            raise DataError(
                f"input {tensor.name!r} of the ONNX model takes {_describe_integers(dtype)}, and column {name!r} holds "
                f"{'missing values' if np.isnan(value) else f'{value:g}'}; change the column in the data, or export "
                "the model with float inputs."
            )


def _describe_integers(dtype: type[np.generic]) -> str:
    if not issubclass(dtype, np.integer):
        return "0 and 1"
    limits = np.iinfo(dtype)
    return "whole numbers" if limits.bits == 64 else f"whole numbers from {limits.min} to {limits.max}"
