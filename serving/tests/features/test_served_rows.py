"""Raw rows over REST and gRPC: what a client reads about a model, sends to it, and can tell answers apart by."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from kfp_edge_serving.http_server.openapi import document
from serving_support.bundles import mixed_bundle
from serving_support.exposition import Exposition
from serving_support.grpc_calls import grpc_port, stub_to
from serving_support.paths import SERVING
from serving_support.server_process import PATIENT, Server, running
from serving_support.windowed_bundle import expected, row, windowed_bundle


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Server]:
    """Return a server of a model of windows of 3 rows and of one without, without any row so far."""
    windowed_bundle(tmp_path)
    mixed_bundle(tmp_path)
    with running(tmp_path, "--grpc-port", "0", *PATIENT) as server:
        yield server


@pytest.fixture
def stub(press: Server) -> Iterator[GRPCInferenceServiceStub]:
    with stub_to(grpc_port(press)) as stub:
        yield stub


def assert_described(body: Any, schema: str) -> None:
    """Check a body against the OpenAPI document."""
    components = json.loads(document())["components"]
    jsonschema.validate(body, {"$ref": f"#/components/schemas/{schema}", "components": components})


def call(stub: GRPCInferenceServiceStub, *rows: Any, model: str = "press", is_raw: bool = False) -> Any:
    request = ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="rows", datatype="BYTES", shape=[len(rows)])
    texts = [json.dumps(one).encode() for one in rows]
    if is_raw:
        request.raw_input_contents.append(b"".join(len(text).to_bytes(4, "little") + text for text in texts))
    else:
        tensor.contents.bytes_contents.extend(texts)
    return stub.ModelInfer(request)


def test_the_metadata_say_what_a_client_sends(press: Server) -> None:
    status, body = press.get("/v2/models/press")
    assert (status, body["rows"]) == (
        200,
        {
            "time_column": "at",
            "time_kind": "timestamp",
            "group_column": "machine",
            "has_unique_times": True,
            "rows_needed": 3,
            "columns": [{"name": "pressure", "required": False}],
        },
    )
    assert_described(body, "Model")
    assert "rows" not in press.get("/v2/models/mill")[1]


def test_the_status_tells_rows_without_an_answer(press: Server) -> None:
    status, body = press.infer("press", {"rows": [row(0, 1)]})
    assert status == 202
    assert "outputs" not in body
    assert_described(body, "PartialResponse")
    status, body = press.infer("press", {"rows": [row(1, 2), row(2, 4)]})
    assert (status, body["answered"]) == (202, [1])
    assert_described(body, "PartialResponse")
    status, body = press.infer("press", {"rows": [row(3, 8)]})
    assert (status, "not_answered" in body) == (200, False)
    assert_described(body, "Response")
    status, body = press.infer("press", {"rows": [row(0, 1)]})
    assert status == 409
    assert_described(body, "Error")


def test_readiness_and_metrics_show_which_groups_can_be_answered(press: Server) -> None:
    assert press.get("/v2/models/press/ready")[1]["groups"] == {"full": 0, "warming_up": 0}
    press.infer("press", {"rows": [row(second, second) for second in range(4)]})
    press.infer("press", {"rows": [row(0, 0, "B")]})
    press.infer("press", {"rows": [row(0, 0, "B")]})
    press.infer("press", {"rows": [row(0, 9, "A")]})
    ready = press.get("/v2/models/press/ready")[1]
    assert ready["groups"] == {"full": 1, "warming_up": 1}
    assert_described(ready, "ModelReady")
    assert "groups" not in press.get("/v2/models/mill/ready")[1]
    metrics = Exposition(press.get("/metrics")[1])
    assert metrics.values("kfp_edge_window_rows_total", "status", model="press") == {
        "answered": 2,
        "repeated": 0,
        "warming_up": 4,
        "late": 1,
        "incomplete": 0,
    }
    assert metrics.values("kfp_edge_window_groups", "state", model="press") == {"full": 1, "warming_up": 1}
    codes = metrics.counted("kfp_edge_requests_total", "code", model="press", protocol="rest")
    assert codes == {"202": 3, "409": 1}
    assert metrics.value("kfp_edge_request_errors_total", model="press") == 1


def test_the_client_of_the_documents_has_an_answer_to_its_next_row_after_a_restart(tmp_path: Path) -> None:
    windowed_bundle(tmp_path)
    [client] = re.findall(
        r"^```python\n(.*?)^```", (SERVING.parent / "docs/raw-rows.md").read_text(), re.DOTALL | re.MULTILINE
    )
    answers: list[float] = []

    def read_sensor() -> Iterator[dict[str, Any]]:
        for seconds in (range(5), range(5, 7)):
            with running(tmp_path, *PATIENT) as server:
                names["url"] = f"http://127.0.0.1:{server.port}/v2/models/press/infer"
                for second in seconds:
                    yield row(second, second)

    names = {"rows_needed": 3, "act_on": answers.append, "read_sensor": read_sensor}
    exec(client, names)
    assert answers == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("is_raw", [False, True])
def test_rows_over_grpc_get_the_same_answers(stub: GRPCInferenceServiceStub, is_raw: bool) -> None:
    answer = call(stub, row(0, 1), row(1, 2), is_raw=is_raw)
    assert not answer.outputs
    entries = json.loads(answer.parameters["not_answered"].string_param)
    assert entries[1] == {"row": 1, "status": "warming_up", "group": "A", "rows_seen": 2, "rows_needed": 3}
    answer = call(stub, row(2, 4), is_raw=is_raw)
    if is_raw:
        data = np.frombuffer(answer.raw_output_contents[0], np.float32)
    else:
        data = np.array(answer.outputs[0].contents.fp32_contents)
    assert data.tolist() == pytest.approx(expected([1, 2, 4]), abs=1e-4)
    assert "not_answered" not in answer.parameters


def test_a_late_row_over_grpc_aborts_the_call(stub: GRPCInferenceServiceStub) -> None:
    call(stub, *(row(second, 1) for second in (5, 6, 7)))
    with pytest.raises(grpc.RpcError, match="row 0 is late") as error:
        call(stub, row(4, 1))
    assert error.value.code() == grpc.StatusCode.ABORTED


def test_rows_over_grpc_are_for_every_model_with_named_columns(stub: GRPCInferenceServiceStub) -> None:
    answer = call(stub, {"Torque [Nm]": 2.5, "Type": "H", "count": 2, "on": True}, model="mill")
    assert list(answer.outputs[0].contents.int64_contents) == [1]
    with pytest.raises(grpc.RpcError, match="row 0 lacks the column 'Type', which cannot be missing"):
        call(stub, {"Torque [Nm]": 2.5}, model="mill")


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff"])
def test_a_row_over_grpc_is_a_json_object(stub: GRPCInferenceServiceStub, text: bytes) -> None:
    request = ModelInferRequest(model_name="press")
    request.inputs.add(name="rows", datatype="BYTES", shape=[1]).contents.bytes_contents.append(text)
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(request)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
