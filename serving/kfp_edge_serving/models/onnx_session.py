"""An onnxruntime session for an edge container: few threads, little memory, no telemetry."""

import os
from collections.abc import Sequence

from kfp_edge_serving.codecs.tensors import DATATYPES, Array
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.bundle import LoadedBundle

# onnxruntime has telemetry that sends to the outside; it reads this when it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _ort

onnxruntime.disable_telemetry_events()

CPU = "CPUExecutionProvider"

_ERRORS = (
    _ort.EPFail,
    _ort.Fail,
    _ort.InvalidArgument,
    _ort.InvalidGraph,
    _ort.InvalidProtobuf,
    _ort.NotImplemented,
    _ort.RuntimeException,
)
_DATATYPES_BY_ONNX_TYPE = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class OnnxSession:
    """A model that onnxruntime has loaded; safe to run from several threads at once."""

    def __init__(self, bundle: LoadedBundle, providers: Sequence[str], threads: int) -> None:
        """Load a bundle's model.

        Args:
            bundle: The bundle, whose signature must match its model.
            providers: Execution providers in the order of preference.
            threads: Threads of one inference.

        Raises:
            StartError: onnxruntime cannot load the model or lacks a provider, or the signature does not match.
        """
        self._model_name = f"model {bundle.name} {bundle.version}"
        if unknown := [name for name in providers if name not in onnxruntime.get_available_providers()]:
            known = ", ".join(onnxruntime.get_available_providers())
            raise StartError(f"this onnxruntime has no execution provider {unknown[0]}; it has {known}.")
        try:
            self._session = onnxruntime.InferenceSession(bundle.model, _options(threads), providers=list(providers))
        except _ERRORS as error:
            raise StartError(f"{self._model_name} cannot be loaded by onnxruntime: {_first_line(error)}") from error
        self._check_signature(bundle)
        # what `InferenceSession.run` calls after it has checked the names again, which takes a tenth of a request
        self._run = self._session._sess.run

    def run(self, names: list[str], feed: dict[str, Array]) -> list[Array]:
        """Compute the outputs `names` from the inputs `feed`.

        Raises:
            RequestError: the model cannot compute with these inputs.
        """
        try:
            arrays: list[Array] = self._run(names, feed, None)
        except _ERRORS as error:
            raise RequestError(f"the model cannot compute with these inputs: {_first_line(error)}") from error
        return arrays

    def _check_signature(self, bundle: LoadedBundle) -> None:
        for kind, tensors, nodes in (
            ("inputs", bundle.inputs, self._session.get_inputs()),
            ("outputs", bundle.outputs, self._session.get_outputs()),
        ):
            for node in nodes:
                self._check_is_tensor(node.name, node.type)
            declared = {tensor.name: tensor.datatype for tensor in tensors}
            actual = {node.name: _DATATYPES_BY_ONNX_TYPE.get(node.type, node.type) for node in nodes}
            if declared != actual:
                mismatch = f"{kind} are {actual}, not {declared}"
                raise StartError(f"the signature of {self._model_name} does not match its model: {mismatch}.")
            if unknown := set(declared.values()) - DATATYPES:
                raise StartError(
                    f"{self._model_name} has datatypes that this server does not support: {sorted(unknown)}."
                )

    def _check_is_tensor(self, name: str, onnx_type: str) -> None:
        """Refuse what the protocol cannot carry, such as the ZipMap that skl2onnx writes by default."""
        if onnx_type.startswith("tensor("):
            return
        what = f"'{name}' of {self._model_name} is {onnx_type}"
        if "map(" in onnx_type:
            raise StartError(f"{what}, which a ZipMap makes, and no tensor; export the model with zipmap=False.")
        raise StartError(f"{what}, which is no tensor; the Open Inference Protocol has nothing else.")


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # a thread that spins while it waits eats the CPU quota of a small container
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
