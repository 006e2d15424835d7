"""Triton's extensions that its clients ask for, over gRPC and REST: configuration and statistics of models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http

from serving_support.grpc_calls import grpc_port
from serving_support.server_process import Server, running
from serving_support.shaped_bundle import graph_bundle


@pytest.fixture(scope="module")
def counted(pump_models: Path) -> Iterator[Server]:
    """Return a server of pump 1 that has answered 3 requests of 2 rows and refused one."""
    with running(pump_models, "--grpc-port", "0") as server:
        for _ in range(3):
            infer(server, rows=2)
        with pytest.raises(triton.InferenceServerException):
            infer(server, rows=2, datatype="FP64")
        yield server


def infer(server: Server, rows: int, datatype: str = "FP32") -> None:
    tensor = triton.InferInput("X", [rows, 3], datatype)
    tensor.set_data_from_numpy(np.ones((rows, 3), np.float32 if datatype == "FP32" else np.float64))
    with triton.InferenceServerClient(f"127.0.0.1:{grpc_port(server)}") as client:
        client.infer("pump", [tensor])


def ask_both(server: Server, method: str, *arguments: str) -> list[Any]:
    """Return the answers that tritonclient has over gRPC and over REST."""
    with triton.InferenceServerClient(f"127.0.0.1:{grpc_port(server)}") as client:
        over_grpc = getattr(client, method)(*arguments, as_json=True)
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        return [over_grpc, getattr(client, method)(*arguments)]


def numbers(value: Any) -> Any:
    """Return JSON in which 64-bit integers, which protobuf writes as text, are numbers, and zeros are left out."""
    if isinstance(value, dict):
        return {key: numbers(inner) for key, inner in value.items() if inner != 0}
    if isinstance(value, list):
        return [numbers(inner) for inner in value]
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def test_the_configuration_is_the_signature_without_the_batch(server: Server) -> None:
    over_grpc, over_rest = ask_both(server, "get_model_config", "pump")
    assert over_rest == {
        "name": "pump",
        "platform": "onnx_onnxv1",
        "backend": "onnxruntime",
        "version_policy": {"all": {}},
        "max_batch_size": 10_000,
        "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [3]}],
        "output": [
            {"name": "label", "data_type": "TYPE_INT64", "dims": []},
            {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [2]},
        ],
    }
    over_rest["output"][0].pop("dims")  # protobuf leaves out what is empty
    assert numbers(over_grpc["config"]) == over_rest


def test_a_model_without_a_batch_dimension_has_no_batches(models: Path) -> None:
    graph_bundle(models)
    with running(models) as server:
        config = server.get("/v2/models/graph/config")[1]
    assert config["max_batch_size"] == 0
    assert [tensor["dims"] for tensor in config["input"]] == [[-1, 2], [-1, 2]]


def test_texts_have_the_type_of_triton(server: Server) -> None:
    config = server.get("/v2/models/mill/versions/1/config")[1]
    assert {tensor["name"]: tensor["data_type"] for tensor in config["input"]} == {
        "torque": "TYPE_FP32",
        "Type": "TYPE_STRING",
        "count": "TYPE_INT64",
        "on": "TYPE_BOOL",
    }


def test_statistics_are_what_was_answered(counted: Server) -> None:
    over_grpc, over_rest = ask_both(counted, "get_inference_statistics", "pump")
    [statistics] = over_rest["model_stats"]
    assert numbers(over_grpc["model_stats"]) == [numbers(statistics) | {"version": 1}]
    assert (statistics["name"], statistics["inference_count"], statistics["execution_count"]) == ("pump", 6, 3)
    success, fail = (statistics["inference_stats"][key] for key in ("success", "fail"))
    assert (success["count"], fail["count"]) == (3, 1)
    queue, *compute = (
        statistics["inference_stats"][key] for key in ("queue", "compute_input", "compute_infer", "compute_output")
    )
    assert [part["count"] for part in (queue, *compute)] == [3] * 4
    assert success["ns"] == pytest.approx(queue["ns"] + sum(part["ns"] for part in compute), abs=2)
    assert fail["ns"] > 0
    assert statistics["last_inference"] > 1_700_000_000_000


@pytest.mark.parametrize(
    ("path", "models"),
    [
        ("/v2/models/pump/stats", [("pump", "9"), ("pump", "10")]),
        ("/v2/models/pump/versions/9/stats", [("pump", "9")]),
        ("/v2/models/mill/stats", [("mill", "1")]),
    ],
)
def test_without_a_version_there_are_those_of_all_versions(
    server: Server, path: str, models: list[tuple[str, str]]
) -> None:
    assert [(one["name"], one["version"]) for one in server.get(path)[1]["model_stats"]] == models


def test_without_a_name_there_are_those_of_all_models(server: Server) -> None:
    over_grpc, over_rest = ask_both(server, "get_inference_statistics")
    names = {"pump", "mill", "ruled", "typed", "castable"}
    assert {one["name"] for one in over_rest["model_stats"]} == names
    assert {one["name"] for one in over_grpc["model_stats"]} == names


def test_both_extensions_are_advertised(server: Server) -> None:
    for metadata in ask_both(server, "get_server_metadata"):
        assert {"model_configuration", "statistics"} <= set(metadata["extensions"])


@pytest.mark.parametrize("method", ["get_model_config", "get_inference_statistics"])
def test_an_unknown_model_is_not_found(server: Server, method: str) -> None:
    with (
        triton.InferenceServerClient(f"127.0.0.1:{grpc_port(server)}") as client,
        pytest.raises(triton.InferenceServerException, match="there is no model 'lathe' here"),
    ):
        getattr(client, method)("lathe")
