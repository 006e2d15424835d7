"""An independent client, NVIDIA's `tritonclient.http`, runs every call of the protocol."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from serving_support.server_process import Server
from serving_support.typed_bundles import TYPES, blank, input_name, output_name

Array = np.ndarray[Any, Any]
VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    **{name: [int(np.iinfo(TYPES[name][1]).min), int(np.iinfo(TYPES[name][1]).max)] for name in TYPES if "INT" in name},
    "FP16": [-0.0, 65504],
    "FP32": [float(np.finfo(np.float32).smallest_subnormal), -float(np.finfo(np.float32).max)],
    "FP64": [5e-324, 0.1],
    "BYTES": ["", "日本\0\U0001f600"],
}


@pytest.fixture
def client(server: Server) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def inputs(arrays: dict[str, Array], binary: bool = True) -> list[InferInput]:
    """Return all inputs of the typed model: zeros for those that are not given."""
    rows = len(next(iter(arrays.values())))
    tensors = []
    for datatype in TYPES:
        array = arrays.get(datatype, blank(datatype, rows))
        tensor = InferInput(input_name(datatype), list(array.shape), datatype)
        tensors.append(tensor.set_data_from_numpy(array, binary_data=binary))
    return tensors


def pump(*values: float) -> InferInput:
    array = np.array([values], np.float32)
    return InferInput("X", list(array.shape), "FP32").set_data_from_numpy(array)


def given(datatype: str) -> Array:
    return np.array([[value] for value in VALUES[datatype]], TYPES[datatype][1])


def same(datatype: str, output: Array, array: Array) -> bool:
    if datatype == "BYTES":
        texts = [value.decode() if isinstance(value, bytes) else value for value in output.reshape(-1).tolist()]
        return output.shape == array.shape and texts == array.reshape(-1).tolist()
    return (output.dtype, output.shape, output.tobytes()) == (array.dtype, array.shape, array.tobytes())


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as refused:
        call()
    return refused.value.status(), refused.value.message()


def test_health(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pump")
    assert client.is_model_ready("pump", "9")
    assert not client.is_model_ready("pump", "8")
    assert not client.is_model_ready("fan")


def test_server_metadata(client: InferenceServerClient) -> None:
    result = client.get_server_metadata()
    assert result["name"] == "kfp-edge-serving"
    assert result["extensions"] == ["binary_tensor_data", "model_configuration", "statistics"]


@pytest.mark.parametrize("version", ["", "1"])
def test_model_metadata(client: InferenceServerClient, version: str) -> None:
    result = client.get_model_metadata("typed", version)
    assert (result["name"], result["versions"], result["platform"]) == ("typed", ["1"], "onnx_onnxv1")
    both = {"shape": [-1, -1], "parameters": {"batch_dimension": "none"}}
    assert result["inputs"] == [{"name": input_name(name), "datatype": name, **both} for name in TYPES]
    assert result["outputs"] == [{"name": output_name(name), "datatype": name, **both} for name in TYPES]


@pytest.mark.parametrize("datatype", TYPES)
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_every_datatype_both_ways(
    client: InferenceServerClient, datatype: str, binary_in: bool, binary_out: bool
) -> None:
    array = given(datatype)
    wanted = [InferRequestedOutput(output_name(datatype), binary_data=binary_out)]
    answer = client.infer("typed", inputs({datatype: array}, binary_in), outputs=wanted)
    assert [output["name"] for output in answer.get_response()["outputs"]] == [output_name(datatype)]
    assert same(datatype, answer.as_numpy(output_name(datatype)), array)


def test_all_outputs_come_raw_unless_asked_otherwise(client: InferenceServerClient) -> None:
    arrays = {datatype: given(datatype) for datatype in TYPES}
    answer = client.infer("typed", inputs(arrays))
    assert all("binary_data_size" in output["parameters"] for output in answer.get_response()["outputs"])
    assert all(same(datatype, answer.as_numpy(output_name(datatype)), array) for datatype, array in arrays.items())


def test_nan_is_transferred_raw(client: InferenceServerClient) -> None:
    array = np.array([[np.nan]], np.float32)
    result = client.infer("typed", inputs({"FP32": array})).as_numpy("fp32_out")
    assert np.isnan(result).all()


def test_raw_and_json_inputs_in_one_request(client: InferenceServerClient) -> None:
    arrays = {"INT64": np.array([[7]]), "FP64": np.array([[0.5]])}
    tensors = inputs(arrays)
    tensors[list(TYPES).index("INT64")].set_data_from_numpy(arrays["INT64"], binary_data=False)
    answer = client.infer("typed", tensors)
    assert [answer.as_numpy(name).tolist() for name in ("int64_out", "fp64_out")] == [[[7]], [[0.5]]]


@pytest.mark.parametrize(("version", "answered"), [("", "10"), ("9", "9"), ("10", "10")])
def test_the_version_that_is_asked_answers(client: InferenceServerClient, version: str, answered: str) -> None:
    response = client.infer("pump", [pump(1, 2, 3)], model_version=version).get_response()
    assert (response["model_name"], response["model_version"]) == ("pump", answered)


def test_the_request_id_comes_back(client: InferenceServerClient) -> None:
    assert client.infer("pump", [pump(1, 2, 3)], request_id="press 7").get_response()["id"] == "press 7"


def test_unknown_parameters_are_ignored(client: InferenceServerClient) -> None:
    answer = client.infer(
        "pump", [pump(1, 2, 3)], priority=1, timeout=1_000_000, sequence_id=7, parameters={"site": "north"}
    )
    assert answer.as_numpy("label").tolist() == [1]


def test_unknown_headers_and_query_parameters_are_ignored(client: InferenceServerClient) -> None:
    result = client.infer("pump", [pump(1, 2, 3)], headers={"X-Site": "north"}, query_params={"a": "b"})
    assert result.as_numpy("label").tolist() == [1]
    assert client.is_server_live(query_params={"a": "b"})


def test_concurrent_requests_get_their_own_responses(client: InferenceServerClient, server: Server) -> None:
    many = InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=8)
    pending = [many.async_infer("pump", [pump(number, 0, 0)], request_id=str(number)) for number in range(64)]
    assert [one.get_result().get_response()["id"] for one in pending] == [str(number) for number in range(64)]
    many.close()


def test_a_client_that_accepts_compression_gets_an_uncompressed_response(client: InferenceServerClient) -> None:
    answer = client.infer("pump", [pump(1, 2, 3)], response_compression_algorithm="gzip")
    assert answer.as_numpy("label").tolist() == [1]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_answered(client: InferenceServerClient, algorithm: str) -> None:
    answer = client.infer("pump", [pump(1, 2, 3)], request_compression_algorithm=algorithm)
    assert answer.as_numpy("label").tolist() == [1]


def test_errors_have_a_message_that_names_the_cause(client: InferenceServerClient) -> None:
    assert refusal(lambda: client.infer("fan", [pump(1, 2, 3)])) == (
        "404",
        "there is no model 'fan' here; there is castable, mill, pump, ruled, typed.",
    )
    assert refusal(lambda: client.get_model_metadata("pump", "8")) == (
        "404",
        "there is no version '8' of model 'pump'; there is 9, 10.",
    )
    assert refusal(lambda: client.infer("pump", [pump(1, 2)])) == (
        "400",
        "input 'X' takes shape [-1, 3] (-1 is any size), got [1, 2].",
    )
    assert refusal(lambda: client.infer("pump", [pump(1, 2, 3)], outputs=[InferRequestedOutput("y")])) == (
        "400",
        "the model has no output 'y'; it gives 'label', 'probabilities'.",
    )


def test_extensions_that_are_not_supported_are_refused_with_a_reason(client: InferenceServerClient) -> None:
    status, message = refusal(client.get_model_repository_index)
    assert (status, "there is nothing at /v2/repository/index" in message) == ("404", True)
    status, message = refusal(lambda: client.get_trace_settings("pump"))
    assert (status, "there is no /v2/models/pump/trace/setting for model 'pump'" in message) == ("404", True)
    wanted = InferRequestedOutput("probabilities", class_count=2)
    assert refusal(lambda: client.infer("pump", [pump(1, 2, 3)], outputs=[wanted])) == (
        "400",
        "output 'probabilities' asks for 'classification', an extension that this server does not support.",
    )
    shared = InferInput("X", [1, 3], "FP32").set_shared_memory("region", 12)
    assert refusal(lambda: client.infer("pump", [shared])) == (
        "400",
        "input 'X' asks for 'shared_memory_region', an extension that this server does not support.",
    )
