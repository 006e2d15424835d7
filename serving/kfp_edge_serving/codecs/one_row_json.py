"""The JSON of requests of one row, in a fraction of the time that `json_codec` takes for any request.

What a request says beside its values and its id, its frame, is the same in most requests of a client. A frame that
`json_codec` has taken once is kept; whatever is not a known frame with values of the right type is left to it, so that
every error message has one source. A response is a template with the numbers filled in.
"""

import struct
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from operator import call, le, methodcaller
from typing import Any

import orjson

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.codecs.tensors import Array, blank, encode, json_types
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.row_batch import Row

#: By datatype: the code of module `struct`.
_CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
#: Frames that are kept; clients send few different ones.
_MAX_FRAMES = 64
#: Bytes of a body beyond one that was learned: for longer numbers, and for an id.
_SPARE_PER_VALUE, _SPARE = 16, 64
#: What is raised by a body that is not a request of one row.
_OTHER_REQUEST = (AttributeError, KeyError, TypeError, ValueError, OverflowError, struct.error)

#: The row of a request, and its id as a member of the response, empty if it has none. A named tuple takes longer.
OneRow = tuple[Row, bytes]

_pop_data = methodcaller("pop", "data")


class OneRowCodec:
    """Parses the requests of one row to a model, as far as their frame is known."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._packers = [_packer(tensor, model) for tensor in model.inputs.values()]
        self._template = _template(model)
        self._has_text = any(output.datatype == "BYTES" for output in model.outputs.values())
        self._frames: set[bytes] = set()
        #: The text before and behind the data of a frame with one input and no id: nothing else need be parsed then.
        self._texts: set[tuple[bytes, bytes]] = set()
        #: Longer bodies hold more than one row, and are not parsed twice.
        self._max_body = 0

    def parse(self, body: bytes) -> OneRow | None:
        """Return the row of a request, None if its frame is not known or a value is not what the input takes."""
        if len(body) > self._max_body:
            return None
        try:
            before, data, after = _cut_data(body)
            if (before, after) in self._texts:
                return (self._packers[0](orjson.loads(data)),), b""
            return self._parse_members(body)
        except _OTHER_REQUEST:
            return None

    def _parse_members(self, body: bytes) -> OneRow | None:
        request = orjson.loads(body)
        request_id = b',"id":%b' % orjson.dumps(_text(request.pop("id"))) if "id" in request else b""
        row = tuple(map(call, self._packers, map(_pop_data, request["inputs"])))
        return (row, request_id) if orjson.dumps(request) in self._frames else None

    def responses(self, request_ids: list[bytes], outputs: list[Array]) -> list[bytes]:
        """Return the body of the response to each row of a batch, given all outputs, each of shape [rows, values]."""
        columns = _texts_to_json(outputs) if self._has_text else _numbers_to_json(outputs)
        template = self._template
        return [template % values for values in zip(request_ids, *columns, strict=True)]

    def learn(self, body: bytes) -> None:
        """Keep the frame of a request that `json_codec` takes, if it asks for all outputs of one row."""
        try:
            request = orjson.loads(body)
            if self._is_one_row(request):
                self._keep(request, body)
        except (*_OTHER_REQUEST, RequestError):
            return

    def _is_one_row(self, request: JsonObject) -> bool:
        model = self._model
        names, binary = json_codec.requested_outputs(model, request)
        feed = json_codec.parse_inputs(model, request["inputs"])
        return (
            "rows" not in request
            and (names, binary) == (model.all_outputs, frozenset())
            and list(feed) == list(model.inputs)
            and all(len(array) == 1 for array in feed.values())
        )

    def _keep(self, request: JsonObject, body: bytes) -> None:
        if len(self._frames) >= _MAX_FRAMES:
            self._frames.clear()
            self._texts.clear()
        before, _, after = _cut_data(body)
        has_id = request.pop("id", None) is not None
        values = list(map(_pop_data, request["inputs"]))
        self._frames.add(orjson.dumps(request))
        self._max_body = max(self._max_body, len(body) + _SPARE + _SPARE_PER_VALUE * sum(map(len, values)))
        # with null in place of what was cut out, it shows whether this was the data of the only input
        if (
            not has_id
            and len(values) == 1
            and orjson.loads(before + b"null" + after)["inputs"][0].get("data", 0) is None
        ):
            self._texts.add((before, after))


def _cut_data(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the text before the first member named data, its list if that holds no other, and the text behind it."""
    start = body.find(b"[", body.find(b'"data"'))
    end = body.find(b"]", start) + 1
    return body[:start], body[start:end], body[end:]


def _packer(tensor: TensorSpec, model: Model) -> Callable[[Any], bytes | list[str]]:
    """Return a function of the data of one row of an input, which returns what the model takes.

    The function raises one of `_OTHER_REQUEST` if they are not what the input takes.
    """
    if tensor.datatype == "BYTES":
        return partial(_check_texts, prod(tensor.shape[1:]), [column.categories for column in tensor.columns])
    layout = struct.Struct(f"={prod(tensor.shape[1:])}{_CODES[tensor.datatype]}")
    pack, has_types, limits = layout.pack, json_types(tensor).issuperset, model.enforced_range(tensor.name)

    def pack_numbers(values: Any) -> bytes:
        if type(values) is not list or not has_types(map(type, values)):
            raise TypeError
        packed = pack(*values)
        if limits is not None:
            _check_range(layout.unpack(packed), *limits)
        return packed

    return pack_numbers


def _check_texts(size: int, categories: list[frozenset[str] | None], values: Any) -> list[str]:
    if type(values) is not list or len(values) != size or not {str}.issuperset(map(type, values)):
        raise TypeError
    if any(known is not None and value not in known for value, known in zip(values, categories, strict=False)):
        raise ValueError
    return values


def _check_range(values: Sequence[float], low: list[float], high: list[float]) -> None:
    if not (all(map(le, low, values)) and all(map(le, values, high))):
        raise ValueError


def _template(model: Model) -> bytes:
    """Return the response as `json_codec` writes it, with `%b` for `,"id":"..."` and for the values of each output."""
    head = orjson.dumps({"model_name": model.bundle.name, "model_version": model.bundle.version})
    tensors = [encode(blank((1, *output.shape[1:]), output), output) for output in model.outputs.values()]
    outputs = [orjson.dumps(tensor | {"data": []}) for tensor in tensors]
    # a quotation mark inside a string is escaped, so this is the member and not a part of a name
    filled = [_escape(output).replace(b'"data":[]', b'"data":[%b]') for output in outputs]
    return b'%b%%b,"outputs":[%b]}' % (_escape(head[:-1]), b",".join(filled))


def _numbers_to_json(outputs: list[Array]) -> list[list[bytes]]:
    """Return for each output the values of each row, as they stand in a list."""
    text = orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY)
    return [rows.split(b"],[") for rows in text[3:-3].split(b"]],[[")]


def _texts_to_json(outputs: list[Array]) -> list[list[bytes]]:
    """Return the same as `_numbers_to_json` of outputs that may be texts, which may hold brackets themselves."""
    return [
        [orjson.dumps(row)[1:-1] for row in table.tolist()] if table.dtype.kind == "O" else _numbers_to_json([table])[0]
        for table in outputs
    ]


def _escape(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
