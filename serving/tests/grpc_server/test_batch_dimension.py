"""Which dimension is the rows, over gRPC; none is an answer, and so is a batch of zero rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.bundles import numeric_bundle
from serving_support.grpc_calls import fill, grpc_port, stub_to
from serving_support.server_process import PATIENT, running
from serving_support.shaped_bundle import graph_bundle

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GRPCInferenceServiceStub]:
    """Return a gRPC client of a server of graph 1 and pump 1."""
    models = tmp_path_factory.mktemp("models")
    graph_bundle(models)
    numeric_bundle(models)
    with running(models, "--grpc-port", "0", *PATIENT) as server, stub_to(grpc_port(server)) as stub:
        yield stub


def make_request(model: str, *, is_raw: bool, **arrays: Array) -> ModelInferRequest:
    request = ModelInferRequest(model_name=model)
    for name, array in arrays.items():
        datatype = "FP32" if array.dtype == np.float32 else "INT64"
        if is_raw:
            request.inputs.add(name=name, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        else:
            fill(request, name, datatype, list(array.shape), array.ravel().tolist())
    return request


@pytest.mark.parametrize("is_raw", [True, False])
def test_a_graph_has_as_many_nodes_and_edges_as_it_has(stub: GRPCInferenceServiceStub, is_raw: bool) -> None:
    nodes, edges = np.ones((3, 2), np.float32), np.ones((5, 2), np.int64)
    answer = stub.ModelInfer(make_request("graph", is_raw=is_raw, nodes=nodes, edges=edges))
    assert list(answer.outputs[0].shape) == [3, 2]


@pytest.mark.parametrize("is_raw", [True, False])
def test_a_batch_of_zero_rows_has_answers_for_zero_rows(stub: GRPCInferenceServiceStub, is_raw: bool) -> None:
    answer = stub.ModelInfer(make_request("pump", is_raw=is_raw, X=np.empty((0, 3), np.float32)))
    assert {output.name: list(output.shape) for output in answer.outputs} == {"label": [0], "probabilities": [0, 2]}


def test_zero_rows_of_named_columns_have_answers_for_zero_rows(stub: GRPCInferenceServiceStub) -> None:
    request = ModelInferRequest(model_name="pump")
    request.inputs.add(name="rows", datatype="BYTES", shape=[0])
    answer = stub.ModelInfer(request)
    assert [list(output.shape) for output in answer.outputs] == [[0], [0, 2]]
