"""The Open Inference Protocol v2 over REST."""

import copy
import gzip
import urllib.request
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving_support.bundles import PUMP_ROW, mixed_request
from serving_support.server_process import Server


def rows(data: Any, shape: list[int] | None, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "X", "datatype": "FP32", "shape": shape, "data": data} | more]}


def with_input(name: str, /, **changes: Any) -> dict[str, Any]:
    """Return a good request for `mill` with one input changed."""
    request = copy.deepcopy(mixed_request())
    next(tensor for tensor in request["inputs"] if tensor["name"] == name).update(changes)
    return request


@pytest.mark.parametrize(
    "path", ["/v2/health/live", "/v2/health/ready", "/v2/models/pump/ready", "/v2/models/mill/versions/1/ready"]
)
def test_a_loaded_server_and_its_models_are_live_and_ready(server: Server, path: str) -> None:
    assert server.get(path)[0] == 200


def test_server_metadata_names_the_server(server: Server) -> None:
    status, body = server.get("/v2")
    assert status == 200
    assert body["name"] == "kfp-edge-serving"
    assert body["extensions"] == ["binary_tensor_data", "model_configuration", "statistics"]


def test_model_metadata_is_the_signature(server: Server) -> None:
    status, body = server.get("/v2/models/pump")
    of_classes = {"classes": '["0", "1"]', "batch_dimension": 0}
    assert status == 200
    assert body == {
        "name": "pump",
        "versions": ["9", "10"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {
                "name": "X",
                "datatype": "FP32",
                "shape": [-1, 3],
                "parameters": {"columns": '["torque", "speed", "wear"]', "batch_dimension": 0},
            }
        ],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1], "parameters": of_classes},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "parameters": of_classes},
        ],
    }


def test_model_metadata_has_the_threshold_of_a_detector(server: Server) -> None:
    _, body = server.get("/v2/models/mill")
    parameters = {output["name"]: output["parameters"] for output in body["outputs"]}
    assert parameters == {"label": {"batch_dimension": 0}, "score": {"threshold": 5.0, "batch_dimension": 0}}


def test_probabilities_are_named_in_every_answer(server: Server) -> None:
    _, body = server.infer("pump", rows([1, 2, 3], [1, 3]))
    parameters = {output["name"]: output.get("parameters") for output in body["outputs"]}
    assert parameters == {"label": None, "probabilities": {"classes": '["0", "1"]'}}


def test_inference_gives_flat_outputs_in_the_order_of_the_signature(server: Server) -> None:
    status, body = server.infer("mill", mixed_request())
    assert status == 200
    assert body == {
        "model_name": "mill",
        "model_version": "1",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]},
            {"name": "score", "datatype": "FP32", "shape": [2], "data": [6.5, 3.0]},
        ],
    }


def test_probabilities_are_flattened_row_by_row(server: Server) -> None:
    _, body = server.infer("pump", rows([1, 2, 3, 0, -1, -0.5], [2, 3]))
    probabilities = body["outputs"][1]
    assert probabilities["shape"] == [2, 2]
    assert probabilities["data"] == pytest.approx([0.00247, 0.99753, 0.81757, 0.18243], abs=1e-4)


def test_nested_data_mean_the_same_as_flat_data(server: Server) -> None:
    flat = server.infer("pump", rows([1, 2, 3, 0, -1, -0.5], [2, 3]))
    assert server.infer("pump", rows([[1, 2, 3], [0, -1, -0.5]], [2, 3])) == flat


def test_a_column_may_come_as_a_list_of_rows(server: Server) -> None:
    assert server.infer("mill", with_input("Type", shape=[2])) == server.infer("mill", mixed_request())


def test_the_request_id_comes_back(server: Server) -> None:
    assert server.infer("pump", {"id": "press 7", **rows([1, 2, 3], [1, 3])})[1]["id"] == "press 7"


def test_only_the_requested_outputs_are_answered(server: Server) -> None:
    _, body = server.infer("pump", {**rows([1, 2, 3], [1, 3]), "outputs": [{"name": "probabilities"}]})
    assert [output["name"] for output in body["outputs"]] == ["probabilities"]


@pytest.mark.parametrize(("path", "version"), [("pump", "10"), ("pump/versions/9", "9")])
def test_the_latest_version_answers_unless_one_is_named(server: Server, path: str, version: str) -> None:
    assert server.infer(path, rows([1, 2, 3], [1, 3]))[1]["model_version"] == version


BAD_REQUESTS = {
    "no object": ("pump", [1], "must be a JSON object"),
    "no inputs": ("pump", {}, "needs 'inputs'"),
    "inputs of no tensors": ("pump", {"inputs": ["X"]}, "object with a 'name'"),
    "missing input": ("mill", {"inputs": mixed_request()["inputs"][1:]}, "input 'torque' is missing"),
    "unknown input": ("pump", {"inputs": [{"name": "Y"}]}, "no input 'Y'; it takes 'X'"),
    "input twice": ("pump", {"inputs": rows([1, 2, 3], [1, 3])["inputs"] * 2}, "input 'X' is given twice"),
    "wrong datatype": ("pump", rows([1, 2, 3], [1, 3], datatype="FP64"), "'X' takes datatype FP32, got 'FP64'"),
    "no shape": ("pump", rows([1, 2, 3], None), "'X' needs a shape"),
    "shape of other things": ("pump", rows([1, 2, 3], [True, 3]), "'X' needs a shape"),
    "wrong width": ("pump", rows([1, 2], [1, 2]), "'X' takes shape [-1, 3] (-1 is any size), got [1, 2]"),
    "wrong rank": ("pump", rows([1, 2, 3], [3]), "'X' takes shape [-1, 3]"),
    "too few values": ("pump", rows([1, 2], [1, 3]), "needs 3 values in its data, got 2"),
    "ragged rows": ("pump", rows([[1, 2, 3], [4, 5]], [2, 3]), "nested data of input 'X'"),
    "null for an integer": (
        "mill",
        with_input("count", data=[2, None]),
        "'count' takes integers, which cannot be missing; element 1 of its data is null (row 1, column 'count').",
    ),
    "null for a flag": (
        "mill",
        with_input("on", data=[None, True]),
        "'on' takes true or false, which cannot be missing",
    ),
    "null for a text": ("mill", with_input("Type", data=["H", None]), "'Type' takes strings, which cannot be missing"),
    "text for a number": ("pump", rows([1, "2", 3], [1, 3]), "element 1 of its data is '2'"),
    "true for a number": ("pump", rows([1, 2, True], [1, 3]), "element 2 of its data is true"),
    "no data": ("pump", rows(None, [1, 3]), "'X' needs data"),
    "too large for FP32": ("pump", rows([1, 1e300, 3], [1, 3]), "1e+300, which is too large for FP32"),
    "fraction for an integer": ("mill", with_input("count", data=[1.5, 2]), "'count' takes integers; element 0"),
    "too large for INT64": ("mill", with_input("count", data=[2**63, 2]), "integer that INT64 cannot hold"),
    "number for a flag": ("mill", with_input("on", data=[1, 0]), "'on' takes true or false"),
    "number for a text": (
        "mill",
        with_input("Type", data=["H", 1]),
        "'Type' takes strings; element 1 of its data is 1",
    ),
    "unknown category": (
        "mill",
        with_input("Type", data=["H", "X"]),
        "input 'Type', row 1: 'X' is not a category of column 'Type'; allowed are 'H', 'L', 'M'.",
    ),
    "other number of rows": ("mill", with_input("on", shape=[1, 1], data=[True]), "same number of rows"),
    "unknown output": ("pump", {**rows([1, 2, 3], [1, 3]), "outputs": [{"name": "y"}]}, "no output 'y'"),
    "outputs of another kind": ("pump", {**rows([1, 2, 3], [1, 3]), "outputs": "label"}, "'outputs' must be a list"),
    "an id that is no text": ("pump", {**rows([1, 2, 3], [1, 3]), "id": 7}, "'id' must be a string"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_400_with_one_sentence_that_names_what_is_wrong(server: Server, case: str) -> None:
    model, request, message = BAD_REQUESTS[case]
    status, body = server.infer(model, request)
    assert status == 400
    assert list(body) == ["error"]
    assert message in body["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"inputs": [NaN]}', b"[" * 100_000])
def test_a_body_that_is_not_json_is_400(server: Server, body: bytes) -> None:
    status, answer = server.send("POST", "/v2/models/pump/infer", body)
    assert status == 400
    assert "not valid JSON" in answer["error"]


RAW = np.float32([[1, 2, 3]]).tobytes()
JSON_OF_RAW = (
    b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}]}'
)


@pytest.mark.parametrize("body", [RAW, JSON_OF_RAW + RAW, zlib.compress(PUMP_ROW)], ids=["raw", "JSON and raw", "zlib"])
def test_for_a_body_that_is_no_text_the_headers_are_named_that_it_needs(server: Server, body: bytes) -> None:
    status, answer = server.send("POST", "/v2/models/pump/infer", body)
    assert status == 400
    assert answer["error"].endswith(
        "; raw tensors in it need the header Inference-Header-Content-Length with the length of the JSON, and a "
        "compressed body the header Content-Encoding."
    )


def test_for_a_body_that_looks_like_gzip_its_header_is_named(server: Server) -> None:
    status, answer = server.send("POST", "/v2/models/pump/infer", gzip.compress(PUMP_ROW))
    assert status == 400
    assert answer["error"].endswith("; it looks like gzip, which needs the header Content-Encoding: gzip.")


def test_a_body_above_the_limit_is_413(server: Server) -> None:
    status, answer = server.send("POST", "/v2/models/pump/infer", b" " * (5 << 20))
    assert (status, "larger than" in answer["error"]) == (413, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v2/models/fan", 404, "no model 'fan' here; there is castable, mill, pump, ruled, typed"),
        ("POST", "/v2/models/pump/versions/3/infer", 404, "no version '3' of model 'pump'; there is 9, 10"),
        ("GET", "/", 404, "nothing at /"),
        ("GET", "/v2/models/pump/infer", 405, "takes POST, not GET"),
        ("POST", "/v2/health/live", 405, "takes GET, not POST"),
        ("DELETE", "/v2/models/pump", 405, "takes GET, not DELETE"),
    ],
)
def test_a_wrong_path_or_method_is_refused(server: Server, method: str, path: str, status: int, message: str) -> None:
    answer = server.send(method, path)
    assert answer[0] == status
    assert message in answer[1]["error"]


def test_metrics_count_answers_errors_and_time(server: Server) -> None:
    before = sample(server)
    server.infer("pump/versions/9", rows([1, 2, 3], [1, 3]))
    server.infer("pump/versions/9", {})
    after = sample(server)
    changes = {name: after[name] - before.get(name, 0.0) for name in after}
    labels = 'model="pump",version="9"'
    assert changes[f'kfp_edge_requests_total{{{labels},protocol="rest",code="200"}}'] == 1
    assert changes[f'kfp_edge_requests_total{{{labels},protocol="rest",code="400"}}'] == 1
    assert changes[f"kfp_edge_request_errors_total{{{labels}}}"] == 1
    assert changes[f"kfp_edge_request_duration_seconds_count{{{labels}}}"] == 2
    assert changes[f'kfp_edge_request_duration_seconds_bucket{{{labels},le="+Inf"}}'] == 2
    assert changes[f"kfp_edge_request_duration_seconds_sum{{{labels}}}"] > 0


def sample(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs if "info" not in name}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["torque", "Type", "count", "on"]) | JSON,
        "datatype": st.sampled_from(["FP32", "BYTES", "INT64", "BOOL"]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "data": st.lists(SCALARS, max_size=4) | JSON,
        "parameters": JSON,
    },
)
REQUESTS = JSON | st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=5) | JSON}, optional={"id": JSON, "outputs": JSON, "parameters": JSON}
)


@given(request=REQUESTS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_json_body_causes_a_server_error(server: Server, request: Any) -> None:
    assert server.infer("mill", request)[0] < 500


@given(
    name=st.sampled_from(["torque", "Type", "count", "on"]),
    field=st.sampled_from(["name", "datatype", "shape", "data"]),
    value=JSON,
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_change_of_a_valid_request_causes_a_server_error(server: Server, name: str, field: str, value: Any) -> None:
    assert server.infer("mill", with_input(name, **{field: value}))[0] < 500


@given(body=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_cause_a_server_error(server: Server, body: bytes) -> None:
    assert server.send("POST", "/v2/models/pump/infer", body)[0] == 400
