"""The messages of the Open Inference Protocol over gRPC: from a request to its answer, pure and without any gRPC.

`oip_pb2` is generated from `oip.proto` (a test compares them), in the folder `serving`:

    python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. kfp_edge_serving/codecs/oip.proto
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from kfp_edge_serving.codecs.oip_pb2 import (
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
)
from kfp_edge_serving.codecs.tensors import Array, check_shape, from_raw, from_values, to_raw
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.model import Feed, Model

InferRequest = TypeVar("InferRequest", bound=Message)
_Described = ModelMetadataResponse.TensorMetadata

#: The field of `InferTensorContents` that holds the elements of a datatype; FP16 has none.
_FIELDS = {
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


def parsed(kind: type[InferRequest], message: bytes) -> InferRequest:
    """Return the request that the bytes of a message hold.

    Raises:
        RequestError: they hold none.
    """
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise RequestError(f"the message is not a {kind.DESCRIPTOR.name}.") from error


def infer(model: Model, request: ModelInferRequest) -> bytes:
    """Answer one inference request, with raw contents if it has such, else with typed ones.

    Raises:
        RequestError: the request is not what the model takes.
    """
    is_raw = len(request.raw_input_contents) > 0
    feed = _raw_feed(model, request) if is_raw else _typed_feed(model, request)
    names = model.requested([output.name for output in request.outputs])
    arrays = model.run(feed, names)
    response = ModelInferResponse(model_name=model.bundle.name, model_version=model.bundle.version, id=request.id)
    if not is_raw:
        is_raw = any(model.outputs[name].datatype not in _FIELDS for name in names)
    for name, array in zip(names, arrays, strict=True):
        datatype = model.outputs[name].datatype
        output = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if is_raw:
            response.raw_output_contents.append(to_raw(array))
        else:
            getattr(output.contents, _FIELDS[datatype]).extend(_values(array))
    return response.SerializeToString()


def metadata(bundle: LoadedBundle, versions: Sequence[str]) -> bytes:
    """Return the answer that describes a model."""
    response = ModelMetadataResponse(
        name=bundle.name,
        versions=versions,
        platform="onnx_onnxv1",
        inputs=[_described(tensor) for tensor in bundle.inputs],
        outputs=[_described(tensor) for tensor in bundle.outputs],
    )
    return response.SerializeToString()


def _described(tensor: TensorSpec) -> _Described:
    return _Described(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _raw_feed(model: Model, request: ModelInferRequest) -> Feed:
    inputs, raw = request.inputs, request.raw_input_contents
    if len(inputs) != len(raw):
        raise RequestError(
            f"raw_input_contents holds {len(raw)} tensors for {len(inputs)} inputs; "
            "give one for every input, in their order, or none at all."
        )
    feed: Feed = {}
    for tensor, data in zip(inputs, raw, strict=True):
        wanted = model.input(tensor.name, feed)
        # some clients write contents that are there, but empty
        if tensor.HasField("contents") and tensor.contents.ByteSize():
            raise RequestError(f"input '{wanted.name}' has contents beside raw_input_contents; give one of them.")
        feed[wanted.name] = from_raw(data, check_shape(tensor.datatype, list(tensor.shape), wanted), wanted)
    return feed


def _typed_feed(model: Model, request: ModelInferRequest) -> Feed:
    feed: Feed = {}
    for tensor in request.inputs:
        wanted = model.input(tensor.name, feed)
        layout = check_shape(tensor.datatype, list(tensor.shape), wanted)
        feed[wanted.name] = from_values(_contents(tensor.contents, wanted), layout, wanted)
    return feed


def _contents(contents: InferTensorContents, wanted: TensorSpec) -> list[Any]:
    field = _FIELDS.get(wanted.datatype)
    if field is None:
        raise RequestError(f"input '{wanted.name}' is {wanted.datatype}, which only raw_input_contents can hold.")
    for other, _ in contents.ListFields():
        if other.name != field:
            raise RequestError(f"input '{wanted.name}' of {wanted.datatype} takes {field}, got {other.name}.")
    values = list(getattr(contents, field))
    return _texts(values, wanted) if wanted.datatype == "BYTES" else values


def _texts(values: list[bytes], wanted: TensorSpec) -> list[str]:
    texts: list[str] = []
    for value in values:
        try:
            texts.append(value.decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"element {len(texts)} of input '{wanted.name}' is not UTF-8.") from error
    return texts


def _values(array: Array) -> list[Any]:
    values: list[Any] = array.reshape(-1).tolist()
    return [str(value).encode() for value in values] if array.dtype.kind in "OUS" else values
