"""Every datatype comes back from an identity model as it went in, as JSON or raw bytes; anything else is refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.codecs.tensors import decode
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Model
from serving_support.onnx_models import ask, load, raw, raw_request
from serving_support.typed_bundles import TYPES, blank, input_name, output_name, typed_bundle, typed_request

Array = np.ndarray[Any, Any]
FLOATS = ("FP16", "FP32", "FP64")
#: What is at the end of what a datatype holds, or otherwise special.
EXTREMES: dict[str, list[Any]] = {
    "BOOL": [False, True],
    **{name: [int(np.iinfo(TYPES[name][1]).min), int(np.iinfo(TYPES[name][1]).max)] for name in TYPES if "INT" in name},
    "FP16": [-0.0, 65504.0, -65504.0, float(np.finfo(np.float16).smallest_subnormal)],
    "FP32": [-0.0, float(np.finfo(np.float32).max), float(np.finfo(np.float32).smallest_subnormal)],
    "FP64": [-0.0, float(np.finfo(np.float64).max), 5e-324],
    "BYTES": ["", "\0", "a\0b", '"\\', "日本", "\U0001f600", "\ufeff"],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(typed_bundle(tmp_path_factory.mktemp("typed")))


def arrays(datatype: str, nan: bool = False) -> st.SearchStrategy[Array]:
    """Return arrays of shape [1..4, 1..3] of finite values, with NaN if wanted."""
    dtype = TYPES[datatype][1]
    if datatype == "BYTES":
        elements: st.SearchStrategy[Any] = st.text()
    elif datatype in FLOATS:
        elements = hnp.from_dtype(np.dtype(dtype), allow_nan=nan, allow_infinity=False)
    else:
        elements = hnp.from_dtype(np.dtype(dtype))
    return hnp.arrays(
        dtype, st.tuples(st.integers(1, 4), st.integers(1, 3)), elements=elements | some_extreme(datatype)
    )


def some_extreme(datatype: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(EXTREMES[datatype])


def all_raw(given: dict[str, Array], **more: Any) -> tuple[bytes, int]:
    """Return a body with all tensors raw, one of each datatype."""
    rows = len(next(iter(given.values())))
    tensors = {input_name(name): (name, given.get(name, blank(name, rows))) for name in TYPES}
    return raw_request(tensors, **more)


def output(answer: Any, datatype: str) -> Any:
    return next(tensor_out for tensor_out in answer["outputs"] if tensor_out["name"] == output_name(datatype))


def raw_output(answer: json_codec.EncodedResponse, datatype: str) -> tuple[Any, bytes]:
    """Return the description and the bytes of an output in an answer whose outputs are all raw."""
    position = answer.json_bytes
    assert position is not None
    for tensor_out in orjson.loads(answer.body[:position])["outputs"]:
        size = tensor_out["parameters"]["binary_data_size"]
        if tensor_out["name"] == output_name(datatype):
            return tensor_out, answer.body[position : position + size]
        position += size
    return pytest.fail(f"no output of {datatype}")


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as refused:
        call()
    assert refused.value.status == 400
    return str(refused.value)


@pytest.mark.parametrize("datatype", TYPES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_json_comes_back_exactly(model: Model, datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    tensor_out = output(ask(model, typed_request({datatype: array})), datatype)
    assert (tensor_out["datatype"], tensor_out["shape"]) == (datatype, list(array.shape))
    back = np.array(tensor_out["data"], TYPES[datatype][1]).reshape(array.shape)
    assert raw(back) == raw(array)


@pytest.mark.parametrize("datatype", TYPES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_raw_bytes_come_back_exactly_nan_included(model: Model, datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype, nan=True))
    body, json_bytes = all_raw({datatype: array}, parameters={"binary_data_output": True})
    tensor_out, content = raw_output(json_codec.infer(model, body, json_bytes), datatype)
    assert (tensor_out["datatype"], tensor_out["shape"]) == (datatype, list(array.shape))
    assert content == raw(array)


@pytest.mark.parametrize("datatype", TYPES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_json_and_raw_bytes_of_the_same_data_get_the_same_answer(
    model: Model, datatype: str, data: st.DataObject
) -> None:
    array = data.draw(arrays(datatype))
    body, json_bytes = all_raw({datatype: array})
    in_json = json_codec.infer(model, orjson.dumps(typed_request({datatype: array})))
    assert json_codec.infer(model, body, json_bytes) == in_json


@pytest.mark.parametrize("datatype", TYPES)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_nested_data_mean_the_same_as_flat_data(model: Model, datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    request = typed_request({datatype: array})
    flat = ask(model, request)
    next(tensor for tensor in request["inputs"] if tensor["name"] == input_name(datatype))["data"] = array.tolist()
    assert ask(model, request) == flat


@pytest.mark.parametrize("padding", range(9))
def test_raw_bytes_may_begin_anywhere(model: Model, padding: int) -> None:
    given = {name: np.array([EXTREMES[name][:2]], TYPES[name][1]) for name in TYPES}
    body, json_bytes = all_raw(given, parameters={"binary_data_output": True})
    answer = json_codec.infer(model, body[:json_bytes] + b" " * padding + body[json_bytes:], json_bytes + padding)
    assert {name: raw_output(answer, name)[1] for name in TYPES} == {name: raw(array) for name, array in given.items()}


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("sign", [1, -1])
def test_infinity_is_refused(model: Model, datatype: str, sign: int) -> None:
    array = np.array([[1, sign * np.inf]], TYPES[datatype][1])
    message = refusal(lambda: json_codec.infer(model, *all_raw({datatype: array})))
    assert message == f"input '{input_name(datatype)}' holds an infinite value."


@pytest.mark.parametrize(("datatype", "largest"), [("FP16", 65519.99), ("FP32", 3.4028235677973362e38)])
def test_what_rounds_to_the_largest_float_is_accepted_and_what_rounds_to_infinity_is_not(
    model: Model, datatype: str, largest: float
) -> None:
    def ask_for(value: float) -> Any:
        request = typed_request({datatype: blank(datatype)})
        next(tensor for tensor in request["inputs"] if tensor["datatype"] == datatype)["data"] = [value]
        return ask(model, request)

    assert output(ask_for(-largest), datatype)["data"] == [pytest.approx(-float(np.finfo(TYPES[datatype][1]).max))]
    beyond = float(np.nextafter(largest, np.inf)) if datatype == "FP32" else 65520.0
    assert f"too large for {datatype}" in refusal(lambda: ask_for(beyond))


@pytest.mark.parametrize("datatype", [name for name in TYPES if "INT" in name])
def test_an_integer_beyond_the_datatype_is_refused_and_named(model: Model, datatype: str) -> None:
    for beyond in (EXTREMES[datatype][0] - 1, EXTREMES[datatype][1] + 1):
        request = typed_request({datatype: blank(datatype)})
        next(tensor for tensor in request["inputs"] if tensor["datatype"] == datatype)["data"] = [beyond]
        message = refusal(lambda request=request: json_codec.infer(model, json.dumps(request).encode()))
        assert message.startswith(f"input '{input_name(datatype)}' ")
        assert "cannot hold" in message or "takes integers" in message


@pytest.mark.parametrize(
    ("datatype", "content", "message"),
    [
        ("FP32", b"\0" * 3, "input 'fp32' of shape [1, 1] needs 4 bytes of FP32, got 3."),
        ("FP32", b"\0" * 8, "input 'fp32' of shape [1, 1] needs 4 bytes of FP32, got 8."),
        ("BOOL", b"\2", "input 'bool' takes bytes of 0 or 1 for BOOL."),
        ("BYTES", b"\0\0", "the bytes of input 'bytes' end inside element 0."),
        ("BYTES", struct.pack("<I", 2) + b"a", "the bytes of input 'bytes' end inside element 0."),
        ("BYTES", struct.pack("<I", 2**32 - 1) + b"a", "the bytes of input 'bytes' end inside element 0."),
        ("BYTES", struct.pack("<I", 1) + b"\xff", "element 0 of input 'bytes' is not UTF-8."),
        ("BYTES", struct.pack("<I", 0) * 2, "input 'bytes' of shape [1, 1] needs 1 values in its data, got 2."),
        ("BYTES", b"", "input 'bytes' of shape [1, 1] needs 1 values in its data, got 0."),
    ],
)
def test_wrong_raw_bytes_are_refused_with_one_sentence(
    model: Model, datatype: str, content: bytes, message: str
) -> None:
    request = typed_request({})
    tensor = next(tensor for tensor in request["inputs"] if tensor["datatype"] == datatype)
    del tensor["data"]
    tensor["parameters"] = {"binary_data_size": len(content)}
    head = json.dumps(request).encode()
    assert refusal(lambda: json_codec.infer(model, head + content, len(head))) == message


NUMBERS = st.integers(-(2**66), 2**66) | st.sampled_from([-1, 0, 1, 2**31, 2**63]) | st.none() | st.text() | st.floats()


@given(
    number=st.integers(0, len(TYPES) - 1),
    size=NUMBERS,
    shape=st.lists(st.integers(-1, 3) | st.integers(0, 2**64), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_no_wrong_size_causes_a_server_error(model: Model, number: int, size: Any, shape: list[int]) -> None:
    body, json_bytes = all_raw({"FP32": np.ones((2, 2), np.float32)})
    request = json.loads(body[:json_bytes])
    request["inputs"][number]["parameters"]["binary_data_size"] = size
    if shape:
        request["inputs"][number]["shape"] = shape
    answered_or_refused(model, json.dumps(request).encode(), body[json_bytes:])


@given(data=st.data(), more=st.binary(max_size=8))
@settings(max_examples=300, deadline=None)
def test_no_truncated_extended_or_shifted_body_causes_a_server_error(
    model: Model, data: st.DataObject, more: bytes
) -> None:
    body, json_bytes = all_raw({"BYTES": np.array([["a"], [""]], object)})
    body = body[: data.draw(st.integers(0, len(body)))] + more
    cut = data.draw(st.integers(0, len(body)) | st.just(min(json_bytes, len(body))))
    answered_or_refused(model, body[:cut], body[cut:])


@given(positions=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_changed_byte_causes_a_server_error(model: Model, positions: list[tuple[int, int]]) -> None:
    body, json_bytes = all_raw({"BYTES": np.array([["a"], ["\U0001f600"]], object)})
    changed = bytearray(body)
    for position, value in positions:
        changed[position % len(body)] = value
    answered_or_refused(model, bytes(changed[:json_bytes]), bytes(changed[json_bytes:]))


def answered_or_refused(model: Model, head: bytes, tail: bytes) -> None:
    """Any other error is a bug."""
    try:
        json_codec.infer(model, head + tail, len(head))
    except RequestError as error:
        refused = error
    else:
        return
    assert refused.status == 400
    assert str(refused).endswith(".")
    assert len(str(refused)) < 1000


def test_a_tensor_between_others_takes_only_its_own_bytes(tmp_path: Path, model: Model) -> None:
    given = {"FP32": np.array([[1.5]], np.float32), "BYTES": np.array([["x"]], object)}
    body, json_bytes = all_raw(given)
    request = json.loads(body[:json_bytes])
    for tensor in request["inputs"]:  # in JSON among the raw ones
        if tensor["datatype"] == "FP16":
            del tensor["parameters"]
            tensor["data"] = [0.25]
    head = json.dumps(request).encode()
    answer = orjson.loads(json_codec.infer(model, head + without_fp16(body[json_bytes:]), len(head)).body)
    tensor_out = {name: output(answer, name)["data"] for name in ("FP16", "FP32", "BYTES")}
    assert tensor_out == {"FP16": [0.25], "FP32": [1.5], "BYTES": ["x"]}


def without_fp16(tail: bytes) -> bytes:
    before = sum(np.dtype(TYPES[name][1]).itemsize for name in list(TYPES)[: list(TYPES).index("FP16")])
    return tail[:before] + tail[before + 2 :]


def test_bytes_that_belong_to_no_input_are_refused(model: Model) -> None:
    body, json_bytes = all_raw({"FP32": blank("FP32")})
    message = refusal(lambda: json_codec.infer(model, body + b"123", json_bytes))
    assert message == "3 bytes at the end of the body belong to no input."


def test_a_tensor_has_data_or_raw_bytes_but_not_both(model: Model) -> None:
    request = typed_request({})
    request["inputs"][0]["parameters"] = {"binary_data_size": 1}
    head = json.dumps(request).encode()
    message = refusal(lambda: json_codec.infer(model, head + b"\1", len(head)))
    assert message == "input 'bool' has both data and a binary_data_size; give one of them."


def test_only_outputs_requested_as_raw_bytes_are_raw(model: Model) -> None:
    request = typed_request({"FP32": np.array([[1.5]], np.float32)})
    request["parameters"] = {"binary_data_output": True}
    request["outputs"] = [{"name": "fp32_out"}, {"name": "bytes_out", "parameters": {"binary_data": False}}]
    answer = json_codec.infer(model, orjson.dumps(request))
    fp32, text = orjson.loads(answer.body[: answer.json_bytes])["outputs"]
    assert fp32 == {"name": "fp32_out", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": 4}}
    assert text == {"name": "bytes_out", "datatype": "BYTES", "shape": [1, 1], "data": [""]}
    assert answer.body[answer.json_bytes :] == struct.pack("<f", 1.5)


@pytest.mark.parametrize(
    "data", [[[1, 2], [3, 4], [5, 6]], [[1, 2, 3]], [[1], [2], [3], [4]], [[1, 2], 3, 4], [1, [2], 3, 4]]
)
def test_nested_data_have_exactly_the_shape(model: Model, data: Any) -> None:
    request = typed_request({"INT8": np.ones((2, 2), np.int8)})
    next(tensor for tensor in request["inputs"] if tensor["datatype"] == "INT8")["data"] = data
    assert "input 'int8'" in refusal(lambda: ask(model, request))


@pytest.mark.parametrize(
    "data", [[[1, 2], [3, 4], [5, 6], [7, 8]], [[[1, 2], [3, 4], [5, 6], [7, 8]]], [[[1, 2, 3, 4]], [[5, 6, 7, 8]]]]
)
def test_nested_data_have_the_shape_at_every_depth(data: Any) -> None:
    wanted = TensorSpec("x", "INT8", (2, 2, 2))
    tensor = {"datatype": "INT8", "shape": [2, 2, 2]}
    assert decode(tensor | {"data": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}, wanted).reshape(-1).tolist() == [
        *range(1, 9)
    ]
    message = refusal(lambda: decode(tensor | {"data": data}, wanted))
    assert message == "the nested data of input 'x' do not have its shape [2, 2, 2]."


def test_a_long_shape_is_not_repeated_to_its_sender(model: Model) -> None:
    request = typed_request({})
    request["inputs"][0]["shape"] = [1] * 100_000
    assert len(refusal(lambda: ask(model, request))) < 200
