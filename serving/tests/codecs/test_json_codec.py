"""REST requests: size, encoding and path."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_support.bundles import mixed_bundle, mixed_request, numeric_bundle
from serving_support.onnx_models import raw_request
from serving_support.server_process import Server, running
from serving_support.typed_bundles import TYPES


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that takes 3 rows and 1000 bytes."""
    models = tmp_path_factory.mktemp("models")
    numeric_bundle(models)
    mixed_bundle(models)
    with running(models, "--max-rows", "3", "--max-body", "1000") as server:
        yield server


def rows(count: int) -> dict[str, Any]:
    return {"inputs": [{"name": "X", "datatype": "FP32", "shape": [count, 3], "data": [1.0, 2.0, 3.0] * count}]}


BODY = json.dumps(rows(1)).encode()


def send(
    server: Server, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def error(content: bytes) -> str:
    parsed = json.loads(content)
    assert list(parsed) == ["error"]
    return str(parsed["error"])


def test_the_largest_batch_is_answered_and_a_larger_one_is_413(small: Server) -> None:
    assert small.infer("pump", rows(3))[0] == 200
    status, answer = small.infer("pump", rows(4))
    assert (status, answer["error"]) == (413, "4 rows are more than this server takes at once; send at most 3.")


@pytest.mark.parametrize("named", [True, False])
def test_rows_and_raw_tensors_are_limited_the_same(small: Server, named: bool) -> None:
    if named:
        body, headers = json.dumps({"rows": [{"torque": 1, "speed": 2, "wear": 3}] * 4}).encode(), {}
    else:
        body, json_bytes = raw_request({"X": ("FP32", np.ones((4, 3), np.float32))})
        headers = {"Inference-Header-Content-Length": str(json_bytes)}
    status, _, content = send(small, "POST", "/v2/models/pump/infer", body, headers)
    assert (status, error(content)) == (413, "4 rows are more than this server takes at once; send at most 3.")


def test_a_body_up_to_the_limit_is_answered_and_a_larger_one_is_413(small: Server) -> None:
    body = BODY.ljust(1000)
    assert send(small, "POST", "/v2/models/pump/infer", body)[0] == 200
    status, _, content = send(small, "POST", "/v2/models/pump/infer", body + b" ")
    assert (status, error(content)) == (413, "the body is larger than 1000 bytes; send fewer rows.")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_the_content_type_is_optional(server: Server, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert send(server, "POST", "/v2/models/pump/infer", BODY, headers)[0] == 200


def test_a_raw_response_has_the_length_of_its_json_in_a_header(server: Server) -> None:
    body = json.dumps(rows(1) | {"parameters": {"binary_data_output": True}}).encode()
    status, headers, content = send(server, "POST", "/v2/models/pump/infer", body)
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    length = int(headers["inference-header-content-length"])
    sizes = [output["parameters"]["binary_data_size"] for output in json.loads(content[:length])["outputs"]]
    assert (sizes, len(content)) == ([8, 8], length + 16)


@pytest.mark.parametrize("name", ["id", "parameters", "outputs"])
def test_what_is_optional_may_be_null(server: Server, name: str) -> None:
    assert server.infer("pump", rows(1) | {name: None}) == server.infer("pump", rows(1))


PATHS = ["/v2", "/v2/models", "/v2/models/pump", "/v2/models/pump/versions/9", "/v2/models/pump/ready", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_a_query_changes_nothing(server: Server, path: str) -> None:
    status, _, content = send(server, "GET", path)
    assert status == 200
    for query in ("?", "?a=b", "?a=/v2/x?y", "?%"):
        again, _, same = send(server, "GET", path + query)
        assert again == 200
        assert same == content or path == "/metrics"


def test_a_query_changes_nothing_for_inference(server: Server) -> None:
    assert server.infer("pump", rows(1)) == server.send("POST", "/v2/models/pump/infer?x=1", BODY)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_server_metadata_are_at_the_path_of_the_official_document_too(server: Server, method: str) -> None:
    status, _, content = send(server, method, "/v2/")
    assert (status, content) == (200, send(server, method, "/v2")[2])


@pytest.mark.parametrize("path", PATHS[1:])
def test_a_slash_at_the_end_of_any_other_path_is_refused_with_the_right_path(server: Server, path: str) -> None:
    status, _, content = send(server, "GET", f"{path}/")
    message = f"there is nothing at {path}/; the path is {path}, without a slash behind it."
    assert (status, error(content)) == (404, message)


def test_a_slash_at_the_end_is_another_path_for_inference_too(server: Server) -> None:
    status, _, content = send(server, "POST", "/v2/models/pump/infer/", BODY)
    assert (status, "the path is /v2/models/pump/infer," in error(content)) == (404, True)


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/v2/models//infer", "model name"),
        ("/v2/models//ready", "model name"),
        ("/v2/models//versions/1/infer", "model name"),
        ("/v2/models/pump/versions//infer", "version"),
        ("/v2/models/pump/versions/", "version"),
        ("/v2/models/pump/versions", "version"),
    ],
)
def test_a_name_without_a_character_is_404(server: Server, path: str, missing: str) -> None:
    status, _, content = send(server, "POST" if "infer" in path else "GET", path, BODY)
    assert (status, error(content)) == (404, f"the path {path} has no {missing}; /v2/models lists the models.")


#: Names of models, which are names of folders, and ways to write each in a path.
NAMES = {
    "Säge 7": ["S%C3%A4ge%207"],
    "Fräse": ["Fr%C3%A4se", "Fr%c3%a4se"],
    "a%41": ["a%2541"],
    "aA": ["aA", "a%41", "%61%41"],
    "x@1.0": ["x@1.0", "x%401.0"],
    "(v2)": ["(v2)", "%28v2%29"],
    "v2": ["v2"],
    "versions": ["versions"],
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of models with unusual names."""
    models = tmp_path_factory.mktemp("named")
    for name in NAMES:
        numeric_bundle(models, name, version="1.0+rc 1")
    with running(models) as server:
        yield server


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_found_by_its_name_escaped_as_a_path_needs_it_and_by_no_other(named: Server, name: str) -> None:
    for path in NAMES[name]:
        for version in ("", "/versions/1.0+rc%201", "/versions/1.0%2Brc%201"):
            status, _, content = send(named, "GET", f"/v2/models/{path}{version}")
            assert (status, json.loads(content)["name"]) == (200, name)
            status, _, content = send(named, "POST", f"/v2/models/{path}{version}/infer", BODY)
            assert (status, json.loads(content)["model_name"]) == (200, name)


@pytest.mark.parametrize("path", ["/v2%2Fmodels/pump", "/v2/models%2Fpump", "/v2/models/pump%2Finfer", "/v2%2F"])
def test_an_escaped_slash_separates_nothing(server: Server, path: str) -> None:
    assert send(server, "GET", path)[0] == 404
    assert send(server, "POST", path, BODY)[0] == 404


@pytest.mark.parametrize("path", ["/v2/models/%70ump", "/v2/models/pum%70/versions/%39", "/%76%32/models/pump"])
def test_an_escaped_path_is_the_same_path(server: Server, path: str) -> None:
    assert send(server, "GET", path)[0] == 200
    status, _, content = send(server, "POST", f"{path}/infer", BODY)
    assert (status, json.loads(content)["model_name"]) == (200, "pump")


@pytest.mark.parametrize("path", ["/v2/models/%ff", "/v2/models/%", "/v2/models/pump%00", "//v2", "/v2/./models"])
def test_a_strange_path_is_404(server: Server, path: str) -> None:
    status, _, content = send(server, "GET", path)
    assert (status, error(content).endswith(".")) == (404, True)


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_of_get_and_no_body(server: Server, path: str) -> None:
    status, headers, content = send(server, "HEAD", path)
    assert (status, content) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("PUT", "/v2", "GET, HEAD"), ("HEAD", "/v2/models/pump/infer", "POST")]
)
def test_405_lists_the_allowed_methods(server: Server, method: str, path: str, allowed: str) -> None:
    status, headers, _ = send(server, method, path)
    assert (status, headers["allow"]) == (405, allowed)


MIXED, MIXED_JSON = raw_request(
    {
        tensor["name"]: (tensor["datatype"], np.array(tensor["data"], TYPES[tensor["datatype"]][1]).reshape(-1, 1))
        for tensor in mixed_request()["inputs"]
    }
)
LENGTHS = [
    st.integers(0, len(MIXED) + 9),
    st.integers(-(2**70), 2**70),
    st.sampled_from([MIXED_JSON, "", "+5", "0x10", "1_0", "1.0", "1,2"]),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1),
]


@given(length=st.one_of(LENGTHS).map(str))
@settings(max_examples=300, deadline=None)
def test_only_the_true_length_of_the_json_part_is_answered(server: Server, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length.encode().decode("latin-1")}
    status, _, content = send(server, "POST", "/v2/models/mill/infer", MIXED, headers)
    assert status == (200 if length == str(MIXED_JSON) else 400)
    assert status == 200 or error(content).endswith(".")


@pytest.mark.parametrize("length", ["-1", "1.0", "one", "9" * 30, "100000"])
def test_a_wrong_length_of_the_json_part_is_named(server: Server, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    status, _, content = send(server, "POST", "/v2/models/pump/infer", BODY, headers)
    assert status == 400
    message = "inference-header-content-length must be a number of bytes, at most the length of the body."
    assert error(content) == message


def test_a_raw_input_without_the_length_of_the_json_part_is_named(server: Server) -> None:
    request = rows(1)
    del request["inputs"][0]["data"]
    request["inputs"][0]["parameters"] = {"binary_data_size": 12}
    status, answer = server.infer("pump", request)
    assert status == 400
    message = "input 'X' has a binary_data_size, but the request has no header Inference-Header-Content-Length."
    assert answer["error"] == message


def test_a_raw_input_of_no_bytes_needs_no_such_length_as_kserve_leaves_it_out(server: Server) -> None:
    request = rows(1)
    del request["inputs"][0]["data"]
    request["inputs"][0] |= {"shape": [0, 3], "parameters": {"binary_data_size": 0}}
    status, answer = server.infer("pump", request)
    assert (status, [output["shape"][0] for output in answer["outputs"]]) == (200, [0, 0])
