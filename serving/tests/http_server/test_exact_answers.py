"""Odd but valid requests and their answers to the byte, however often a server has met them before.

A request may be answered on a short path or a general one, alone or with others. The answer is the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from serving_support.not_a_number import quotient_bundle
from serving_support.onnx_models import load
from serving_support.raw_http import Client, post
from serving_support.server_process import PATIENT, Server, running

INFER = "/v2/models/quotient/infer"
HEAD = b'{"model_name":"quotient","model_version":"1",'


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model that divides the three columns of its input by the last one."""
    models = tmp_path_factory.mktemp("quotient")
    quotient_bundle(models)
    return models


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    with running(models, *PATIENT) as server:
        yield server


def tensor(data: str, shape: str = "[1, 3]", rest: str = "") -> str:
    return f'{{"name": "X", "datatype": "FP32", "shape": {shape}, "data": {data}{rest}}}'


def request(
    data: str = "[1, 2, 1]", shape: str = "[1, 3]", rest: str = "", before: str = "", behind: str = ""
) -> bytes:
    """Return a body; `rest` is more of the tensor, `before` and `behind` are more of the request."""
    return f'{{{before}"inputs": [{tensor(data, shape, rest)}]{behind}}}'.encode()


def answer(data: str, rows: int = 1, before: str = "", behind: str = "") -> bytes:
    output = f'{{"name":"y","datatype":"FP32","shape":[{rows},3],"data":{data}}}'
    return HEAD + f'{before}"outputs":[{output}]{behind}}}'.encode()


PLAIN = answer("[1.0,2.0,1.0]")
#: Requests and their answers.
ANSWERED = {
    "plain": (request(), PLAIN),
    "nested": (request("[[1, 2, 1]]"), PLAIN),
    "white space": (b" \r\n\t" + request().replace(b" ", b" \n\t ") + b"\n", PLAIN),
    "no white space": (request().replace(b" ", b""), PLAIN),
    "other order of members": (
        b'{"inputs": [{"data": [1, 2, 1], "shape": [1, 3], "datatype": "FP32", "name": "X"}]}',
        PLAIN,
    ),
    "escaped names": (request().replace(b'"name": "X"', b'"n\\u0061me": "\\u0058"'), PLAIN),
    "a member twice, of which the last counts": (request(before='"inputs": 7, '), PLAIN),
    "data twice": (request("[9, 9, 9]", rest=', "data": [1, 2, 1]'), PLAIN),
    "unknown members": (request(rest=', "x": {"y": [null]}', behind=', "z": 1'), PLAIN),
    "unknown parameters": (request(rest=', "parameters": {"site": "north"}', before='"parameters": {"a": 1}, '), PLAIN),
    "members that are null": (
        request(rest=', "parameters": null', behind=', "parameters": null, "outputs": null'),
        PLAIN,
    ),
    "an id that is null": (request(before='"id": null, '), PLAIN),
    "no outputs by name are all outputs": (request(behind=', "outputs": []'), PLAIN),
    "all outputs by name": (request(behind=', "outputs": [{"name": "y", "parameters": {}}]'), PLAIN),
    "no raw outputs": (request(behind=', "parameters": {"binary_data_output": false}'), PLAIN),
    "an id": (request(before='"id": "press 7", '), answer("[1.0,2.0,1.0]", before='"id":"press 7",')),
    "an id behind the inputs": (request(behind=', "id": "7"'), answer("[1.0,2.0,1.0]", before='"id":"7",')),
    "an empty id": (request(before='"id": "", '), answer("[1.0,2.0,1.0]", before='"id":"",')),
    "an id with everything": (
        request(before='"id": "\\u00e4\\"\\\\\\n\\ud83d\\ude00%s%b{}", '),
        answer("[1.0,2.0,1.0]", before='"id":"ä\\"\\\\\\n😀%s%b{}",'),
    ),
    "an id twice": (request(before='"id": "a", "id": "b", '), answer("[1.0,2.0,1.0]", before='"id":"b",')),
    "floats and integers": (request("[1.0, 2, 1e0]"), PLAIN),
    "exponents": (request("[1E+2, 25e-2, 1]"), answer("[100.0,0.25,1.0]")),
    "minus zero": (request("[-0.0, -0, 1]"), answer("[-0.0,0.0,1.0]")),
    "too small for anything but zero": (request("[1e-60, -1e-320, 1]"), answer("[0.0,-0.0,1.0]")),
    "the smallest number": (request("[1e-45, 1.4e-45, 1]"), answer("[1e-45,1e-45,1.0]")),
    "the largest number": (
        request("[3.4028234663852886e38, -3.4028235677973362e38, 1]"),
        answer("[3.4028235e+38,-3.4028235e+38,1.0]"),
    ),
    "rounded to single precision": (request("[16777217, 0.1, 1]"), answer("[16777216.0,0.1,1.0]")),
    "many digits": (
        request("[0.1000000000000000055511151231257827, 2.50000000000000000000, 1]"),
        answer("[0.1,2.5,1.0]"),
    ),
    "large integers": (
        request("[18446744073709551615, -9223372036854775808, 1]"),
        answer("[1.8446744e+19,-9.223372e+18,1.0]"),
    ),
    "null, which is missing": (request("[null, 2, 1]"), answer("[null,2.0,1.0]")),
    "null everywhere": (request("[null, null, null]"), answer("[null,null,null]")),
    "an answer of infinity": (request("[1, -2, 0]"), answer("[null,null,null]")),
    "two rows": (request("[1, 2, 1, 4, 2, 2]", "[2, 3]"), answer("[1.0,2.0,1.0,2.0,1.0,1.0]", rows=2)),
    "no rows": (request("[]", "[0, 3]"), answer("[]", rows=0)),
    "a row of named columns": (
        b'{"rows": [{"wear": 1, "torque": 3}]}',
        HEAD
        + b'"missing":[["speed"]],"outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":[3.0,null,1.0]}],'
        + b'"predictions":[{"y":[3.0,null,1.0]}]}',
    ),
}
X = "input 'X'"
#: Requests and the errors.
REFUSED = {
    "true": (request("[true, 2, 1]"), f"{X} takes numbers; element 0 of its data is true (row 0, column 'torque')."),
    "text": (request('["1", 2, 1]'), f"{X} takes numbers; element 0 of its data is '1' (row 0, column 'torque')."),
    "too few": (request("[1, 2]"), f"{X} of shape [1, 3] needs 3 values in its data, got 2."),
    "too many": (request("[1, 2, 1, 1]"), f"{X} of shape [1, 3] needs 3 values in its data, got 4."),
    "too large": (
        request("[3.4028235677973366e38, 2, 1]"),
        f"{X} holds 3.4028235677973366e+38, which is too large for FP32 (row 0, column 'torque').",
    ),
    "too large in the last column": (
        request("[1, 2, -1e39]"),
        f"{X} holds -1e+39, which is too large for FP32 (row 0, column 'wear').",
    ),
    "a datatype twice": (request(rest=', "datatype": "FP64"'), f"{X} takes datatype FP32, got 'FP64'."),
    "a number as id": (request(before='"id": 7, '), "'id' must be a string, got 7."),
    "an extension": (
        request(rest=', "parameters": {"classification": 1}'),
        f"{X} asks for 'classification', an extension that this server does not support.",
    ),
    "an unknown output": (
        request(behind=', "outputs": [{"name": "z"}]'),
        "the model has no output 'z'; it gives 'y'.",
    ),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_the_codec_answers_exactly(models: Path, case: str) -> None:
    body, expected = ANSWERED[case]
    assert json_codec.infer(load(models / "quotient" / "1"), body).body == expected


@pytest.mark.parametrize("case", ANSWERED)
def test_a_server_answers_exactly_every_time(server: Server, case: str) -> None:
    body, expected = ANSWERED[case]
    with Client(server.port) as client:
        answers = [client.send(post(INFER, body)).answer() for _ in range(4)]
        pipelined = client.send(post(INFER, body) * 3).end().answers()
    assert [(one and one.status, one and one.body) for one in [*answers, *pipelined]] == [(200, expected)] * 7


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_is_nearly_valid_is_refused_with_the_same_error_every_time(server: Server, case: str) -> None:
    body, message = REFUSED[case]
    with Client(server.port) as client:
        # beside valid requests, whose heads and frames are known
        requests = post(INFER, request()) + post(INFER, body)
        answers = client.send(requests * 4).end().answers()
    valid, refused = answers[::2], answers[1::2]
    assert [(one.status, one.body) for one in valid] == [(200, PLAIN)] * 4
    assert [(one.status, json.loads(one.body)) for one in refused] == [(400, {"error": message})] * 4


@pytest.mark.parametrize("case", REFUSED)
def test_the_codec_refuses_it_likewise(models: Path, case: str) -> None:
    body, message = REFUSED[case]
    with pytest.raises(RequestError) as refused:
        json_codec.infer(load(models / "quotient" / "1"), body)
    assert (refused.value.status, str(refused.value)) == (400, message)
