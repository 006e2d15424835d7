"""A model that cannot compute: with a request that fits its signature, the server failed, and not the client."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.exposition import Exposition
from serving_support.grpc_calls import grpc_port, refused
from serving_support.server_process import PATIENT, Server, running
from serving_support.shaped_bundle import sum_bundle, table_bundle, tensor

REASON = "the model cannot compute with these inputs: "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    table_bundle(models)
    sum_bundle(models)
    with running(models, "--grpc-port", "0", *PATIENT) as server:
        yield server


def look_up(server: Server, *index: int) -> tuple[int, object]:
    """Ask for numbers of the table."""
    status, body = server.infer("table", {"inputs": [tensor("index", "INT64", [[each] for each in index])]})
    return status, body["outputs"][0]["data"] if status == 200 else body["error"]


@pytest.mark.parametrize("index", [(7,), (1, 7)], ids=["one row", "several rows"])
def test_over_rest_it_is_an_error_of_the_server(server: Server, index: tuple[int, ...]) -> None:
    assert look_up(server, 0, 2) == (200, [4.0, 6.0])
    status, error = look_up(server, *index)
    assert status == 500
    assert str(error).startswith(REASON)
    assert look_up(server, 1) == (200, [5.0])


def test_over_grpc_it_is_an_error_of_the_server(server: Server) -> None:
    request = ModelInferRequest(model_name="table", raw_input_contents=[np.int64([7]).tobytes()])
    request.inputs.add(name="index", datatype="INT64", shape=[1, 1])
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port(server)}") as channel:
        status, details = refused(lambda: GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60))
    assert status == "INTERNAL"
    assert details.startswith(REASON)


def test_the_metrics_count_it_as_one(server: Server) -> None:
    look_up(server, 7)
    _, text = server.get("/metrics")
    metrics = Exposition(text)
    assert metrics.value("kfp_edge_requests_total", "", model="table", protocol="rest", code="500") >= 1


def test_a_size_that_the_signature_leaves_open_and_the_model_does_not_take_is_a_mistake_of_the_client(
    server: Server,
) -> None:
    def add(left: list[float], right: list[float]) -> tuple[int, object]:
        return server.infer("sum", {"inputs": [tensor("left", "FP32", left), tensor("right", "FP32", right)]})

    assert add([1, 2, 3], [1, 1, 1])[0] == 200
    status, body = add([1, 2, 3], [1, 1])
    assert status == 400
    assert REASON in str(body)
