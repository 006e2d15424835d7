"""Inference without protobuf, for messages that differ from an earlier one only in their id and in their raw numbers.

A client sends the same names, datatypes and shapes again and again. The bytes of a message before its raw contents,
without the id, are the key to what they meant the first time; the answer is put together from the bytes of the one
before. Whatever does not match exactly is parsed as a message.
"""

from math import isfinite
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from kfp_edge_serving.codecs.oip_pb2 import InferParameter, ModelInferRequest, ModelInferResponse
from kfp_edge_serving.codecs.tensors import Array, TensorLayout, check_shape, from_raw, numpy_type, to_raw
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.row_batch import RowBatches

# "Encoding" (Protocol Buffers): the tag of a field is its number and its type in one byte
_NAME, _VERSION, _ID = 0x0A, 0x12, 0x1A
_RAW_INPUT = b"\x3a"
_RAW_OUTPUT = b"\x32"
#: The letters that Python has for the formats of floats.
_FORMATS: dict[str, Literal["f", "d"]] = {"FP32": "f", "FP64": "d"}
#: Datatypes of which every value is taken, if it is finite.
_PLAIN = _FORMATS.keys() | {"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"}
#: Bytes of numbers that Python adds up faster than NumPy looks at each.
_FEW_BYTES = 256
#: Lengths from here on take more than one byte.
_LONG = 0x80
#: Templates of a server, shapes of answers of a template, and bytes of a key.
_MAX_TEMPLATES = 256
_MAX_ANSWERS = 16
_MAX_KEY = 1024

#: The shape of each output of an answer.
Shapes: TypeAlias = tuple[tuple[int, ...], ...]
#: What a template belongs to, such as the model with its counters.
Owner = TypeVar("Owner")


class _Input(NamedTuple):
    """Where the bytes of an input are in a message without its id, and the bytes that must be before them."""

    spec: TensorSpec
    layout: TensorLayout
    start: int
    end: int
    header: bytes


class _Head(NamedTuple):
    """Where the id of a message is: field and all from `start` to `end`."""

    start: int
    end: int
    id: bytes


class RequestTemplate(NamedTuple):
    """What messages that differ only in their id and their numbers have in common."""

    model: Model
    names: list[str]
    inputs: tuple[_Input, ...]
    #: For one row of numbers whose answer has all outputs: the memory that the model reads and writes.
    memory: RowBatches | None
    #: The first fields of every answer, and by the shapes of its outputs, the fields that describe these.
    answer_head: bytes
    answer_outputs: dict[Shapes, bytes]
    #: The shapes of all outputs of one row.
    row_shapes: Shapes

    def infer(self, message: bytes, head: _Head) -> bytes:
        """Run one inference and return the bytes of its ModelInferResponse.

        Raises:
            RequestError: the model does not take the values.
        """
        moved = head.end - head.start
        arrays = None if self.memory is None else self._compute_in_place(self.memory, message, moved)
        shapes = self.row_shapes
        if arrays is None:
            feed = {
                spec.name: from_raw(message[start + moved : end + moved], layout, spec)
                for spec, layout, start, end, _ in self.inputs
            }
            arrays = self.model.run(feed, self.names)
            shapes = tuple([array.shape for array in arrays])
        parts = [
            self.answer_head,
            message[head.start : head.end],
            self.answer_outputs.get(shapes) or self._describe(shapes),
        ]
        for array in arrays:
            raw = to_raw(array)
            size = len(raw)
            parts += (_RAW_OUTPUT, bytes((size,)) if size < _LONG else _varint(size), raw)
        return b"".join(parts)

    def _compute_in_place(self, memory: RowBatches, message: bytes, moved: int) -> list[Array] | None:
        """Return the outputs of the only row, None if it has a value that may be missing, or is none."""
        row = []
        for spec, _, start, end, _ in self.inputs:
            raw = message[start + moved : end + moved]
            if spec.datatype in _FORMATS and not _are_finite(raw, spec):
                return None
            row.append(raw)
        return self.model.run_rows([tuple(row)], memory)

    def _describe(self, shapes: Shapes) -> bytes:
        """Return the fields of an answer that describe its outputs, and keep them for the next answer."""
        answer = ModelInferResponse()
        for name, shape in zip(self.names, shapes, strict=True):
            spec = self.model.outputs[name]
            parameters = {key: InferParameter(string_param=value) for key, value in spec.class_parameters.items()}
            answer.outputs.add(name=name, datatype=spec.datatype, shape=shape, parameters=parameters)
        if len(self.answer_outputs) >= _MAX_ANSWERS:
            self.answer_outputs.clear()
        described = self.answer_outputs[shapes] = answer.SerializeToString()
        return described


class Match(NamedTuple, Generic[Owner]):
    """A message that is like an earlier one."""

    owner: Owner
    template: RequestTemplate
    message: bytes
    head: _Head

    def infer(self) -> bytes:
        """Run the inference, see `RequestTemplate`."""
        return self.template.infer(self.message, self.head)

    @property
    def request_id(self) -> str:
        """The id that the client gave its request; empty if there is none."""
        return self.head.id.decode()


class RequestTemplates(Generic[Owner]):
    """The templates of the models that are served at one moment; safe to use from several threads."""

    def __init__(self) -> None:
        self._templates: dict[bytes, tuple[Owner, RequestTemplate]] = {}
        #: The lengths of the keys of messages by the length of these, both without the id.
        self._key_lengths: dict[int, tuple[int, ...]] = {}

    def find(self, message: bytes) -> Match[Owner] | None:
        """Return what an earlier message of the same kind was, None if there was none."""
        head = _find_id(message)
        if head is None:
            return None
        start, end, _ = head
        moved = end - start
        for length in self._key_lengths.get(len(message) - moved, ()):
            known = self._templates.get(message[:start] + message[end : length + moved])
            if known is not None and _has_raw_contents(known[1], message, moved):
                return Match(*known, message, head)
        return None

    def add(self, message: bytes, request: ModelInferRequest, model: Model, owner: Owner, one_thread: bool) -> None:
        """Keep a request with raw contents that was answered, unless it is written in an unusual way.

        Args:
            message: The request.
            request: The same, parsed.
            model: The model that has answered it.
            owner: What `find` returns with the template.
            one_thread: Whether requests like it are answered in one thread only, always the same.
        """
        head = _find_id(message)
        if head is None or head.id.decode() != request.id:
            return
        inputs = _find_inputs(message, request, model, head.end - head.start)
        if inputs is None or inputs[0].start > _MAX_KEY:
            return
        bundle = model.bundle
        answer_head = ModelInferResponse(model_name=bundle.name, model_version=bundle.version).SerializeToString()
        names = model.requested_outputs([output.name for output in request.outputs])
        key = message[: head.start] + message[head.end : inputs[0].start + head.end - head.start]
        size = len(message) - (head.end - head.start)
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
            self._key_lengths.clear()
        memory = model.new_row_memory() if one_thread and _is_plain_row(model, names, inputs) else None
        row_shapes = tuple([(1, *model.outputs[name].shape[1:]) for name in names])
        self._templates[key] = owner, RequestTemplate(model, names, inputs, memory, answer_head, {}, row_shapes)
        self._key_lengths[size] = tuple({*self._key_lengths.get(size, ()), len(key)})


def _find_id(message: bytes) -> _Head | None:
    """Return where the id is, after name and version; None if a message does not begin with these."""
    try:
        if message[0] != _NAME or message[1] >= _LONG:
            return None
        start = 2 + message[1]
        if message[start] == _VERSION and message[start + 1] < _LONG:
            start += 2 + message[start + 1]
        if message[start] != _ID:
            return _Head(start, start, b"")
        size = message[start + 1]
    except IndexError:
        return None
    end = start + 2 + size
    request_id = message[start + 2 : end]
    # protobuf refuses text that is not UTF-8, which ASCII always is
    return _Head(start, end, request_id) if size < _LONG and request_id.isascii() else None


def _find_inputs(message: bytes, request: ModelInferRequest, model: Model, id_size: int) -> tuple[_Input, ...] | None:
    """Return where the raw contents are, None if they are not the last fields of the message."""
    raws = request.raw_input_contents
    headers = [_RAW_INPUT + _varint(len(raw)) for raw in raws]
    position = len(message) - sum(map(len, headers)) - sum(map(len, raws))
    inputs = []
    for tensor, raw, header in zip(request.inputs, raws, headers, strict=True):
        start = position + len(header)
        end = start + len(raw)
        if message[position:start] != header or message[start:end] != raw:
            return None
        spec = model.inputs[tensor.name]
        layout = check_shape(tensor.datatype, list(tensor.shape), spec)
        inputs.append(_Input(spec, layout, start - id_size, end - id_size, header))
        position = end
    return tuple(inputs)


def _are_finite(raw: bytes, spec: TensorSpec) -> bool:
    if len(raw) > _FEW_BYTES:
        return bool(np.isfinite(np.frombuffer(raw, numpy_type(spec))).all())
    # a sum is finite only if all numbers are
    return isfinite(sum(memoryview(raw).cast(_FORMATS[spec.datatype])))


def _is_plain_row(model: Model, names: list[str], inputs: tuple[_Input, ...]) -> bool:
    """Return whether a request is one row that needs no more than to be finite, and asks for all outputs."""
    return (
        names == model.all_outputs
        and [spec.name for spec, *_ in inputs] == list(model.inputs)
        and all(
            spec.datatype in _PLAIN and layout.model_shape[:1] == (1,) and model.enforced_range(spec.name) is None
            for spec, layout, *_ in inputs
        )
    )


def _has_raw_contents(template: RequestTemplate, message: bytes, moved: int) -> bool:
    """Return whether the raw contents of a message have the lengths of the template, and nothing is behind them.

    The key ends with the first of the headers that state these lengths.
    """
    if template.inputs[-1].end + moved != len(message):
        return False
    if len(template.inputs) == 1:
        return True
    return all(message.startswith(header, start + moved - len(header)) for _, _, start, _, header in template.inputs)


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes lengths: seven bits in a byte, the lowest first."""
    encoded = bytearray()
    while number >= _LONG:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
