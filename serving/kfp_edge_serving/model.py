"""One model: a pure function from the bytes of a request to the bytes of its answer.

It knows nothing of HTTP, so that the layer that carries the bytes can be exchanged.
"""

import math
import os
from typing import Any

import orjson

from kfp_edge_serving.bundle import Bundle, Sample, Tensor
from kfp_edge_serving.cpus import usable_cpus
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.tensors import DATATYPES, decode, encode, shown

# onnxruntime carries telemetry with an outbound endpoint; it reads this when it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _ort

onnxruntime.disable_telemetry_events()

_ORT_ERRORS = (
    _ort.Fail,
    _ort.InvalidArgument,
    _ort.InvalidGraph,
    _ort.InvalidProtobuf,
    _ort.NotImplemented,
    _ort.RuntimeException,
)
_ORT_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_WARM_UP = 20


class Model:
    """A loaded bundle, ready to answer."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the model, replay its recorded requests and warm up.

        Raises:
            StartError: the model cannot be loaded, is not what the signature says, or answers otherwise
                than it did when it was verified.
        """
        self.bundle = bundle
        self._session = _session(bundle)
        self._inputs = {tensor.name: tensor for tensor in bundle.inputs}
        self._outputs = {tensor.name: tensor for tensor in bundle.outputs}
        self._all_outputs = list(self._outputs)
        self._head = {"model_name": bundle.name, "model_version": bundle.version}
        self._check_signature()
        for number, sample in enumerate(bundle.samples):
            self._self_test(number, sample)
        self._warm_up()

    def infer(self, body: bytes) -> bytes:
        """Answer one inference request; both bodies are those of the Open Inference Protocol v2 ("Inference").

        Raises:
            RequestError: the request is not what the model takes.
        """
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RequestError(f"the body is not valid JSON: {error}.") from error
        if not isinstance(request, dict):
            raise RequestError(f"the body must be a JSON object with 'inputs', got {shown(request)}.")
        response: dict[str, Any] = dict(self._head)
        identity = request.get("id")
        if identity is not None:
            if not isinstance(identity, str):
                raise RequestError(f"'id' must be a string, got {shown(identity)}.")
            response["id"] = identity
        names = self._requested_outputs(request.get("outputs"))
        arrays = self._run(names, self._feed(request.get("inputs")))
        response["outputs"] = [encode(array, self._outputs[name]) for name, array in zip(names, arrays, strict=True)]
        return orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)

    def _feed(self, tensors: Any) -> dict[str, Any]:
        if not isinstance(tensors, list):
            raise RequestError(f"the body needs 'inputs', a list of tensors; got {shown(tensors)}.")
        feed: dict[str, Any] = {}
        for tensor in tensors:
            name = _name(tensor, "inputs")
            if name not in self._inputs:
                raise RequestError(f"the model has no input {shown(name)}; it takes {_quoted(self._inputs)}.")
            if name in feed:
                raise RequestError(f"input '{name}' is given twice.")
            feed[name] = decode(tensor, self._inputs[name])
        if len(feed) != len(self._inputs):
            missing = [name for name in self._inputs if name not in feed]
            raise RequestError(f"input {_quoted(missing)} is missing; the model takes {_quoted(self._inputs)}.")
        rows = {name: len(array) for name, array in feed.items()}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"'{name}' has {count}" for name, count in rows.items())
            raise RequestError(f"all inputs must have the same number of rows, but {counts}.")
        return feed

    def _requested_outputs(self, tensors: Any) -> list[str]:
        if not tensors and tensors in (None, []):
            return self._all_outputs
        if not isinstance(tensors, list):
            raise RequestError(f"'outputs' must be a list of objects with a 'name', got {shown(tensors)}.")
        names = [_name(tensor, "outputs") for tensor in tensors]
        for name in names:
            if name not in self._outputs:
                raise RequestError(f"the model has no output {shown(name)}; it gives {_quoted(self._outputs)}.")
        return names

    def _run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        try:
            arrays: list[Any] = self._session.run(names, feed)
        except _ORT_ERRORS as error:
            raise RequestError(f"the model cannot compute with these inputs: {_first_line(error)}") from error
        return arrays

    def _check_signature(self) -> None:
        session = self._session
        for kind, wanted, found in (
            ("inputs", self._inputs, session.get_inputs()),
            ("outputs", self._outputs, session.get_outputs()),
        ):
            declared = {name: tensor.datatype for name, tensor in wanted.items()}
            actual = {node.name: _ORT_TYPES.get(node.type, node.type) for node in found}
            if declared != actual:
                raise StartError(
                    f"the signature of {self._title} does not fit its model: {kind} are {actual}, not {declared}."
                )
            if unknown := set(declared.values()) - DATATYPES:
                raise StartError(f"{self._title} needs datatypes that this server does not know: {sorted(unknown)}.")

    def _self_test(self, number: int, sample: Sample) -> None:
        try:
            answer = orjson.loads(self.infer(orjson.dumps(sample.request)))
        except RequestError as error:
            raise StartError(f"{self._title} refuses its recorded request {number}: {error}") from error
        found = {output["name"]: output for output in answer["outputs"]}
        for name, expected in sample.outputs.items():
            if name not in found or not _equal(expected, found[name], self.bundle.tolerance):
                raise StartError(
                    f"{self._title} fails its self-test: output '{name}' of recorded request {number} "
                    "is not what it was when the model was verified."
                )

    def _warm_up(self) -> None:
        body = orjson.dumps(self.bundle.samples[0].request)
        for _ in range(_WARM_UP):
            self.infer(body)

    @property
    def _title(self) -> str:
        return f"model {self.bundle.name} {self.bundle.version}"


def metadata(bundle: Bundle, versions: list[str]) -> bytes:
    """Return the body of the answer to a model metadata request ("Model Metadata Response JSON Object")."""
    return orjson.dumps(
        {
            "name": bundle.name,
            "versions": versions,
            "platform": "onnx_onnxv1",
            "inputs": [_described(tensor) for tensor in bundle.inputs],
            "outputs": [_described(tensor) for tensor in bundle.outputs],
        }
    )


def _session(bundle: Bundle) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # a thread that spins while it waits eats the CPU quota of a small container
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as error:
        raise StartError(
            f"model {bundle.name} {bundle.version} cannot be loaded by onnxruntime: {_first_line(error)}"
        ) from error


def _equal(expected: dict[str, Any], found: dict[str, Any], tolerance: float) -> bool:
    if any(list(expected[key]) != list(found[key]) for key in ("datatype", "shape")):
        return False
    if expected["datatype"] not in ("FP32", "FP64"):
        return bool(expected["data"] == found["data"])
    return len(expected["data"]) == len(found["data"]) and all(
        math.isclose(a, b, rel_tol=0, abs_tol=tolerance) for a, b in zip(expected["data"], found["data"], strict=True)
    )


def _name(tensor: Any, where: str) -> str:
    name = tensor.get("name") if isinstance(tensor, dict) else None
    if not isinstance(name, str):
        raise RequestError(f"every element of '{where}' must be an object with a 'name'.")
    return name


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
