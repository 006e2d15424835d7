"""The codec of the Open Inference Protocol over gRPC: messages in, bytes of messages out, without any gRPC.

`oip_pb2` is generated from `oip.proto` (a test compares them), in the folder `serving`:

    python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. kfp_edge_serving/codecs/oip.proto

`health_pb2` and `reflection_pb2` are generated likewise.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import orjson
from google.protobuf.message import DecodeError, Message

from kfp_edge_serving.codecs import triton
from kfp_edge_serving.codecs.named_rows import parse_rows
from kfp_edge_serving.codecs.oip_pb2 import (
    InferParameter,
    InferTensorContents,
    ModelConfigResponse,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
    ModelStatisticsResponse,
)
from kfp_edge_serving.codecs.parameters import check_parameters
from kfp_edge_serving.codecs.tensors import (
    Array,
    check_infinite,
    check_required,
    check_shape,
    from_raw,
    from_values,
    to_raw,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.json_types import not_json_error
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.model import Feed, Model
from kfp_edge_serving.models.repository import ServedModel

MessageType = TypeVar("MessageType", bound=Message)
_TensorMetadata = ModelMetadataResponse.TensorMetadata
_InferOutputTensor = ModelInferResponse.InferOutputTensor

#: The field of `InferTensorContents` that holds the elements of a datatype; FP16 has none.
_CONTENTS_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


#: The input that holds rows of named columns, unless a model has an input of this name.
_ROWS = TensorSpec("rows", "BYTES", (-1,), batch_dimension=0)


class _ResponseTemplate(NamedTuple):
    """What all responses of a model have in common; copying it is faster than setting every field again."""

    response: ModelInferResponse
    outputs: dict[str, _InferOutputTensor]


#: Of every model that is in use.
_templates: WeakKeyDictionary[Model, _ResponseTemplate] = WeakKeyDictionary()


def parse(kind: type[MessageType], message: bytes) -> MessageType:
    """Parse the bytes of a message.

    Raises:
        RequestError: they are not a message of this kind.
    """
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise RequestError(f"the message is not a {kind.DESCRIPTOR.name}.") from error


def infer(model: Model, request: ModelInferRequest) -> bytes:
    """Run one inference and return the bytes of its ModelInferResponse; raw contents are answered with raw ones.

    A request whose only input is the BYTES tensor `rows` holds rows of named columns, each as a JSON object.

    Raises:
        RequestError: the request does not match the model.
    """
    _check_parameters(request)
    is_raw = len(request.raw_input_contents) > 0
    names = model.requested_outputs([output.name for output in request.outputs])
    template = _find_template(model)
    response = ModelInferResponse()
    response.CopyFrom(template.response)
    if request.id:
        response.id = request.id
    if holds_rows(model, request):
        rows = parse_rows(model, _parse_row_objects(request))
        response.parameters["missing"].string_param = orjson.dumps(rows.missing).decode()
        if rows.not_answered is not None:
            response.parameters["answered"].string_param = orjson.dumps(rows.answered).decode()
            response.parameters["not_answered"].string_param = orjson.dumps(rows.not_answered).decode()
        if not rows.feed:
            return response.SerializeToString()
        feed = rows.feed
    else:
        feed = _parse_raw_inputs(model, request) if is_raw else _parse_typed_inputs(model, request)
    arrays = model.run(feed, names)
    if not is_raw:
        is_raw = any(model.outputs[name].datatype not in _CONTENTS_FIELDS for name in names)
    for name, array in zip(names, arrays, strict=True):
        output = response.outputs.add()
        output.CopyFrom(template.outputs[name])
        output.shape.extend(array.shape)
        if is_raw:
            response.raw_output_contents.append(to_raw(array))
        else:
            getattr(output.contents, _CONTENTS_FIELDS[output.datatype]).extend(_to_values(array))
    return response.SerializeToString()


def _check_parameters(request: ModelInferRequest) -> None:
    owners: list[tuple[str, Mapping[str, InferParameter]]] = [
        ("the request", request.parameters),
        *((f"input '{tensor.name}'", tensor.parameters) for tensor in request.inputs),
        *((f"output '{tensor.name}'", tensor.parameters) for tensor in request.outputs),
    ]
    for where, parameters in owners:
        if parameters:
            check_parameters({name: _parameter_value(value) for name, value in parameters.items()}, where)


def _parameter_value(parameter: InferParameter) -> object:
    choice = parameter.WhichOneof("parameter_choice")
    return None if choice is None else getattr(parameter, choice)


def _find_template(model: Model) -> _ResponseTemplate:
    template = _templates.get(model)
    if template is None:
        template = _templates[model] = _make_template(model)
    return template


def _make_template(model: Model) -> _ResponseTemplate:
    response = ModelInferResponse(model_name=model.bundle.name, model_version=model.bundle.version)
    outputs = {}
    for name, spec in model.outputs.items():
        parameters = {key: InferParameter(string_param=value) for key, value in spec.class_parameters.items()}
        outputs[name] = _InferOutputTensor(name=name, datatype=spec.datatype, parameters=parameters)
    return _ResponseTemplate(response, outputs)


def model_metadata(bundle: LoadedBundle, versions: Sequence[str]) -> bytes:
    """Return the bytes of a ModelMetadataResponse."""
    response = ModelMetadataResponse(
        name=bundle.name,
        versions=versions,
        platform="onnx_onnxv1",
        inputs=[_tensor_metadata(tensor) for tensor in bundle.inputs],
        outputs=[_tensor_metadata(tensor) for tensor in bundle.outputs],
    )
    return response.SerializeToString()


def model_config(bundle: LoadedBundle, max_rows: int) -> bytes:
    """Return the bytes of a ModelConfigResponse, see `triton.model_config`."""
    return ModelConfigResponse(config=triton.model_config(bundle, max_rows)).SerializeToString()


def model_statistics(models: Iterable[ServedModel]) -> bytes:
    """Return the bytes of a ModelStatisticsResponse, see `triton.model_statistics`."""
    return ModelStatisticsResponse(**triton.model_statistics(models)).SerializeToString()


def _tensor_metadata(tensor: TensorSpec) -> _TensorMetadata:
    parameters = {
        name: InferParameter(string_param=value) if isinstance(value, str) else InferParameter(double_param=value)
        for name, value in tensor.parameters.items()
    }
    return _TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, parameters=parameters)


def holds_rows(model: Model, request: ModelInferRequest) -> bool:
    """Return whether a request holds rows of named columns, not tensors."""
    return len(request.inputs) == 1 and request.inputs[0].name == _ROWS.name and _ROWS.name not in model.inputs


def _parse_row_objects(request: ModelInferRequest) -> list[Any]:
    """Return the JSON values in the tensor `rows`."""
    (tensor,) = request.inputs
    layout = check_shape(tensor.datatype, list(tensor.shape), _ROWS)
    if request.raw_input_contents:
        array = from_raw(request.raw_input_contents[0], layout, _ROWS)
    else:
        array = from_values(_typed_values(tensor.contents, _ROWS), layout, _ROWS)
    return [_parse_row_object(text) for text in array.tolist()]


def _parse_row_object(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise not_json_error(f"an element of input '{_ROWS.name}'", text.encode(), error) from error


def _parse_raw_inputs(model: Model, request: ModelInferRequest) -> Feed:
    inputs, raw = request.inputs, request.raw_input_contents
    if len(inputs) != len(raw):
        raise RequestError(
            f"raw_input_contents holds {len(raw)} tensors for {len(inputs)} inputs; "
            "give one for every input, in their order, or none at all."
        )
    feed: Feed = {}
    for tensor, data in zip(inputs, raw, strict=True):
        spec = model.new_input(tensor.name, feed)
        # some clients send contents that are present, but empty
        if tensor.HasField("contents") and tensor.contents.ByteSize():
            raise RequestError(f"input '{spec.name}' has contents beside raw_input_contents; give one of them.")
        feed[spec.name] = from_raw(data, check_shape(tensor.datatype, list(tensor.shape), spec), spec)
    return feed


def _parse_typed_inputs(model: Model, request: ModelInferRequest) -> Feed:
    feed: Feed = {}
    for tensor in request.inputs:
        spec = model.new_input(tensor.name, feed)
        layout = check_shape(tensor.datatype, list(tensor.shape), spec)
        values = _typed_values(tensor.contents, spec)
        array = from_values(values, layout, spec)
        # unlike JSON, these may be infinite or NaN
        if array.dtype.kind == "f" and not isfinite(sum(values)):
            check_infinite(values, spec)
        check_required(array, spec)
        feed[spec.name] = array
    return feed


def _typed_values(contents: InferTensorContents, spec: TensorSpec) -> list[Any]:
    field = _CONTENTS_FIELDS.get(spec.datatype)
    if field is None:
        raise RequestError(f"input '{spec.name}' is {spec.datatype}, which only raw_input_contents can hold.")
    for other, _ in contents.ListFields():
        if other.name != field:
            raise RequestError(f"input '{spec.name}' of {spec.datatype} takes {field}, got {other.name}.")
    values = list(getattr(contents, field))
    return _decode_strings(values, spec) if spec.datatype == "BYTES" else values


def _decode_strings(values: list[bytes], spec: TensorSpec) -> list[str]:
    strings: list[str] = []
    for value in values:
        try:
            strings.append(value.decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"element {len(strings)} of input '{spec.name}' is not UTF-8.") from error
    return strings


def _to_values(array: Array) -> list[Any]:
    values: list[Any] = array.reshape(-1).tolist()
    return [str(value).encode() for value in values] if array.dtype.kind in "OUS" else values
