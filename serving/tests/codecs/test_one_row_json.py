"""JSON of one row on the short path: byte for byte the answers of the general path, which decides every other case."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.codecs.one_row_json import OneRowCodec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.model import Model
from serving_support.bundles import PUMP_ROW, mixed_bundle, numeric_bundle, ruled_bundle, text_label_bundle
from serving_support.not_a_number import quotient_bundle
from serving_support.onnx_models import load

_HEAD = {"name": "X", "datatype": "FP32", "shape": [1, 3]}
_MILL = {"torque": ("FP32", [1.5]), "Type": ("BYTES", ["H"]), "count": ("INT64", [2]), "on": ("BOOL", [True])}


def pump(data: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": [_HEAD | {"data": data}]} | more).encode()


def mill(**data: Any) -> bytes:
    inputs = [
        {"name": name, "datatype": datatype, "shape": [1, 1], "data": data.get(name, values)}
        for name, (datatype, values) in _MILL.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Return a model of each kind, with an unusual name where that is possible."""
    folder = tmp_path_factory.mktemp("models")
    bundles = {
        "pump": numeric_bundle(folder, name='100 %b "pump" é'),
        "ruled": ruled_bundle(folder),
        "mill": mixed_bundle(folder),
        "bearing": text_label_bundle(folder),
        "quotient": quotient_bundle(folder),
    }
    return {name: load(bundle) for name, bundle in bundles.items()}


def learned(model: Model, *bodies: bytes) -> OneRowCodec:
    """Return a codec that has seen some requests."""
    codec = OneRowCodec(model)
    for body in bodies:
        codec.learn(body)
    return codec


def short_answer(codec: OneRowCodec, model: Model, body: bytes) -> bytes | None:
    """Return the answer of the short path, None if the general path has to answer."""
    one = codec.parse(body)
    if one is None:
        return None
    row, request_id = one
    [body] = codec.responses([request_id], model.run_rows([row]))
    return body


def general_answer(model: Model, body: bytes) -> bytes | None:
    """Return the answer of the general path, None if it refuses the request."""
    try:
        return json_codec.infer(model, body).body
    except RequestError:
        return None


_SHORT_PUMPS = {
    "numbers": pump([1, 2, 3]),
    "integers and floats": pump([1, 2.0, -3]),
    "many digits": pump([0.1234567890123456789, 1e-300, 16777217]),
    "exponents": pump([1e3, 1.5e-7, -2e30]),
    "the largest": pump([3.4028235e38, -3.4028235e38, 9007199254740993]),
    "negative zero": pump([-0.0, 0, 0.0]),
    "an id": pump([1, 2, 3], id="a"),
    "an id of null": pump([1, 2, 3], id=None),
    "an empty id": pump([1, 2, 3], id=""),
    "an id with escapes": pump([1, 2, 3], id='é"\\\n%b\u2028'),
    "other whitespace": PUMP_ROW.replace(b" ", b"\n\t "),
    "no whitespace": PUMP_ROW.replace(b" ", b""),
    "escapes in names": PUMP_ROW.replace(b'"X"', rb'"\u0058"'),
    "the word data in an id": pump([1, 2, 3], id='"data": [1, 2, 3]'),
    "an unknown member with data": pump([4, 5, 6], more={"data": [1, 2, 3]}),
    "an unknown member with data before": b'{"more": {"data": [7, 8, 9]}, ' + PUMP_ROW[1:],
    "data twice": PUMP_ROW.replace(b'"data": [1, 2, 3]', b'"data": [7, 8, 9], "data": [1, 2, 3]'),
    "another order of members": b'{"id":"1","inputs":[{"data":[1,2,3],"shape":[1,3],"name":"X","datatype":"FP32"}]}',
}  # fmt: skip


@pytest.mark.parametrize("body", _SHORT_PUMPS.values(), ids=_SHORT_PUMPS)
def test_a_request_of_one_row_is_answered_as_on_the_general_path(models: dict[str, Model], body: bytes) -> None:
    model = models["pump"]
    codec = learned(model, *_SHORT_PUMPS.values())
    assert short_answer(codec, model, body) == general_answer(model, body) is not None


_GENERAL_PUMPS = {
    "null": pump([1, None, 3]),
    "true": pump([1, True, 3]),
    "text": pump([1, "2", 3]),
    "too few": pump([1, 2]),
    "too many": pump([1, 2, 3, 4]),
    "none": pump([]),
    "nested": pump([[1, 2, 3]]),
    "too large": pump([1, 2, 3.5e38]),
    "an integer too large for a float": pump([1, 2, 10**400]),
    "an object": pump({"0": 1, "1": 2, "2": 3}),
    "a number": pump(1),
    "an id of a number": pump([1, 2, 3], id=7),
    "both rows and inputs": pump([1, 2, 3], rows=[{"torque": 1}]),
    "two rows": pump([1, 2, 3, 4, 5, 6]).replace(b"[1, 3]", b"[2, 3]"),
    "a float in the shape": pump([1, 2, 3]).replace(b"[1, 3]", b"[1.0, 3]"),
    "a boolean in the shape": pump([1, 2, 3]).replace(b"[1, 3]", b"[true, 3]"),
    "another datatype": pump([1, 2, 3]).replace(b"FP32", b"FP64"),
    "another input": pump([1, 2, 3]).replace(b'"X"', b'"Y"'),
    "the input twice": b'{"inputs": [%b, %b]}' % ((json.dumps(_HEAD | {"data": [1, 2, 3]}).encode(),) * 2),
    "one output": pump([1, 2, 3], outputs=[{"name": "label"}]),
    "an unknown output": pump([1, 2, 3], outputs=[{"name": "x"}]),
    "binary outputs": pump([1, 2, 3], parameters={"binary_data_output": True}),
    "no inputs": b'{"id": "1"}',
    "an array": b"[]",
    "no JSON": PUMP_ROW[:-1],
    "data before its colon": PUMP_ROW.replace(b'"data": [1, 2, 3]', b'"data"[1, 2, 3]: '),
    "two data in one input": PUMP_ROW.replace(b'"data": [1, 2, 3]', b'"data": [1, 2, 3], "data": [4]'),
    "data that end in the middle": PUMP_ROW.replace(b"[1, 2, 3]}", b"[1, 2], 3]}"),
    "no UTF-8": PUMP_ROW.replace(b"X", b"\xff"),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("body", _GENERAL_PUMPS.values(), ids=_GENERAL_PUMPS)
def test_every_other_request_is_left_to_the_general_path(models: dict[str, Model], body: bytes) -> None:
    model = models["pump"]
    codec = learned(model, PUMP_ROW, body)
    assert codec.parse(body) is None


def test_parameters_and_outputs_that_ask_for_the_whole_answer_take_the_short_path(models: dict[str, Model]) -> None:
    model = models["pump"]
    outputs = [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": False}}]
    body = pump([1, 2, 3], outputs=outputs, parameters={"priority": 1})
    codec = learned(model, body)
    assert short_answer(codec, model, body) == general_answer(model, body) is not None


def test_a_frame_is_unknown_before_the_general_path_has_taken_it(models: dict[str, Model]) -> None:
    assert OneRowCodec(models["pump"]).parse(PUMP_ROW) is None


@pytest.mark.parametrize(
    ("name", "body", "is_short"),
    [
        ("ruled", PUMP_ROW, True),
        ("ruled", pump([1, 2, True]), False),
        ("ruled", pump([None, 2, 3]), False),
        ("mill", mill(), True),
        ("mill", mill(torque=[1e3], Type=["L"], count=[-(2**63)], on=[False]), True),
        ("mill", mill(Type=["unknown"]), False),
        ("mill", mill(Type="H"), False),
        ("mill", mill(Type={"H": 1}), False),
        ("mill", mill(count=[1.0]), False),
        ("mill", mill(count=[2**63]), False),
        ("mill", mill(on=[1]), False),
        ("bearing", PUMP_ROW, True),
        ("quotient", pump([0, 0, 0]), True),
        ("quotient", pump([1, 0, -1]), True),
    ],
)
def test_columns_texts_and_outputs_that_are_not_finite_are_as_on_the_general_path(
    models: dict[str, Model], name: str, body: bytes, is_short: bool
) -> None:
    model = models[name]
    codec = learned(model, PUMP_ROW, mill())
    answer = short_answer(codec, model, body)
    assert answer == (general_answer(model, body) if is_short else None)


@pytest.mark.parametrize("policy", ["clip", "reject"])
def test_a_value_outside_of_its_range_is_left_to_the_general_path(tmp_path: Path, policy: str) -> None:
    model = load(mixed_bundle(tmp_path), out_of_range=policy)
    codec = learned(model, mill())
    assert codec.parse(mill(torque=[80.0])) is not None
    assert codec.parse(mill(torque=[80.1])) is None
    assert codec.parse(mill(torque=[-0.1])) is None


_numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
_values = st.one_of(_numbers, st.floats(-1e3, 1e3, width=32), st.none(), st.text(max_size=3))
_shapes = st.sampled_from([[1, 3], [1, 3], [1, 3], [2, 3], [3], [1.0, 3], [True, 3], "x"])


@given(
    data=st.one_of(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.lists(_values, max_size=7)),
    shape=_shapes,
    more=st.fixed_dictionaries({}, optional={"id": st.one_of(st.text(), _values), "unknown": _values}),
)
def test_whatever_the_short_path_answers_the_general_path_answers_with_the_same_bytes(
    models: dict[str, Model], data: list[Any], shape: Any, more: dict[str, Any]
) -> None:
    body = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": shape, "data": data}]} | more).encode()
    for model in (models["pump"], models["ruled"], models["bearing"], models["quotient"]):
        answer = short_answer(learned(model, PUMP_ROW, body), model, body)
        assert answer is None or answer == general_answer(model, body)


_PIECES = [b"", b"[", b"]", b"{", b"}", b",", b":", b'"', b'"data"', b'"data":[1]', b" ", b"1", b"null", b"\\", b"\xff"]


@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.sampled_from(_PIECES)), max_size=3))
def test_a_damaged_request_is_answered_or_refused_as_on_the_general_path(
    models: dict[str, Model], changes: list[tuple[float, int, bytes]]
) -> None:
    model, body = models["pump"], PUMP_ROW
    for where, removed, put in changes:
        at = int(where * len(body))
        body = body[:at] + put + body[at + removed :]
    answer = short_answer(learned(model, PUMP_ROW), model, body)
    assert answer is None or answer == general_answer(model, body)
