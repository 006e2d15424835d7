"""Requests that are like earlier ones are answered from these, with the answers that they had without them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.bundles import numeric_bundle, sign
from serving_support.grpc_calls import INFER, channel_to, grpc_port, pump, refused, stub_to
from serving_support.server_process import PATIENT, Server, running
from serving_support.waiting import until


def of(numbers: list[float], **changes: Any) -> ModelInferRequest:
    """Return a request with these numbers, three a row."""
    request = pump(rows=len(numbers) // 3, **changes)
    request.raw_input_contents[0] = np.array(numbers, np.float32).tobytes()
    return request


def typed(request: ModelInferRequest) -> ModelInferRequest:
    """Return the same request with typed contents, which are always parsed."""
    same = ModelInferRequest()
    same.CopyFrom(request)
    same.inputs[0].contents.fp32_contents.extend(np.frombuffer(same.raw_input_contents[0], np.float32).tolist())
    del same.raw_input_contents[:]
    return same


def raw_outputs(stub: GRPCInferenceServiceStub, request: ModelInferRequest) -> list[bytes]:
    """Return the answer to a request with typed contents as raw contents."""
    answer = stub.ModelInfer(typed(request))
    label = np.array(answer.outputs[0].contents.int64_contents, np.int64).tobytes()
    return [label, np.array(answer.outputs[1].contents.fp32_contents, np.float32).tobytes()]


NUMBER = st.floats(-1e6, 1e6, width=32) | st.sampled_from([3e38, -3e38, 1e-45, -0.0, float("nan")])
NUMBERS = st.lists(NUMBER, min_size=3, max_size=9).filter(lambda row: len(row) % 3 == 0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=NUMBERS, id=st.text(max_size=3) | st.just("i" * 200), version=st.sampled_from(["", "9", "10"]))
def test_each_has_its_own_numbers_id_and_version(
    stub: GRPCInferenceServiceStub, numbers: list[float], id: str, version: str
) -> None:
    request = of(numbers, id=id, model_version=version)
    answer = stub.ModelInfer(request)
    assert (answer.id, answer.model_version) == (id, version or "10")
    assert list(answer.raw_output_contents) == raw_outputs(stub, request)
    assert [list(output.shape) for output in answer.outputs] == [[len(numbers) // 3], [len(numbers) // 3, 2]]


def test_the_second_answer_is_byte_for_byte_the_first(server: Server) -> None:
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER)
        answers = {call(pump(id="7").SerializeToString()) for _ in range(3)}
    assert len(answers) == 1


def test_several_inputs_are_told_apart_though_their_lengths_add_up_alike(stub: GRPCInferenceServiceStub) -> None:
    def mill(kinds: list[bytes], torques: int) -> ModelInferRequest:
        request = ModelInferRequest(model_name="mill")
        for name, datatype, raw in (
            ("torque", "FP32", np.full(torques, 2.5, np.float32).tobytes()),
            ("Type", "BYTES", b"".join(len(kind).to_bytes(4, "little") + kind for kind in kinds)),
            ("count", "INT64", np.array([2, 2], np.int64).tobytes()),
            ("on", "BOOL", b"\1\0"),
        ):
            request.inputs.add(name=name, datatype=datatype, shape=[2, 1])
            request.raw_input_contents.append(raw)
        return request

    for _ in range(3):
        assert len(stub.ModelInfer(mill([b"H", b"L"], 2)).raw_output_contents) == 2
    # as long as the others, with four bytes fewer in one input and four more in the next
    code, details = refused(lambda: stub.ModelInfer(mill([b"HHH", b"LLL"], 1)))
    assert (code, details) == ("INVALID_ARGUMENT", "input 'torque' of shape [2, 1] needs 8 bytes of FP32, got 4.")


@pytest.mark.parametrize("outputs", [[], ["probabilities"], ["probabilities", "label"]])
def test_each_has_the_outputs_that_it_asks_for(stub: GRPCInferenceServiceStub, outputs: list[str]) -> None:
    request = pump()
    for name in outputs:
        request.outputs.add(name=name)
    for _ in range(2):
        answered = [output.name for output in stub.ModelInfer(request).outputs]
        assert answered == (outputs or ["label", "probabilities"])


def test_numbers_that_the_model_does_not_take_are_refused_like_before(stub: GRPCInferenceServiceStub) -> None:
    stub.ModelInfer(of([1, 2, 3]))
    for _ in range(2):
        assert "holds an infinite value" in refused(lambda: stub.ModelInfer(of([1, float("inf"), 3])))[1]


def test_an_id_that_is_not_utf8_is_refused_like_before(server: Server) -> None:
    message = pump(id="aaaa").SerializeToString()
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER)
        call(message)
        spoiled = message.replace(b"aaaa", b"\xff\xfe\xfd\xfc")
        assert refused(lambda: call(spoiled)) == ("INVALID_ARGUMENT", "the message is not a ModelInferRequest.")


def test_a_second_id_at_the_end_of_a_message_counts_as_protobuf_has_it(server: Server) -> None:
    message = pump(id="first").SerializeToString() + b"\x1a\x04last"
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER, response_deserializer=ModelInferResponse.FromString)
        assert [call(message).id for _ in range(2)] == ["last", "last"]


def test_nor_is_it_overlooked_where_a_message_is_as_long_as_one_of_more_rows(server: Server) -> None:
    message = pump(id="first").SerializeToString() + b"\x1a\x0alast of 10"
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER, response_deserializer=ModelInferResponse.FromString)
        for rows in (1, 2):
            call(pump(rows=rows, id="first").SerializeToString())
        assert len(message) == len(pump(rows=2, id="first").SerializeToString())
        assert call(message).id == "last of 10"


def test_a_new_version_answers_them_from_the_moment_it_is_served(models: Path) -> None:
    with running(models, "--grpc-port", "0", "--watch", "0.1", *PATIENT) as server, stub_to(grpc_port(server)) as stub:
        assert [stub.ModelInfer(pump()).model_version for _ in range(2)] == ["1", "1"]
        numeric_bundle(models, version="2")
        until(lambda: stub.ModelInfer(pump()).model_version == "2")


def test_ranges_that_are_enforced_hold_for_the_second_request_too(tmp_path: Path) -> None:
    folder = numeric_bundle(tmp_path)
    signature = json.loads((folder / "signature.json").read_text())
    signature["inputs"][0]["columns"] = [{"name": name, "range": [-10, 10]} for name in ("a", "b", "c")]
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    options = ("--grpc-port", "0", "--out-of-range", "reject", *PATIENT)
    with running(tmp_path, *options) as server, stub_to(grpc_port(server)) as stub:
        for _ in range(2):
            assert stub.ModelInfer(of([0, 0, 0])).model_name == "pump"
            assert "is outside of what column 'a' had" in refused(lambda: stub.ModelInfer(of([11, 0, 0])))[1]


def test_rest_and_grpc_at_the_same_time_do_not_write_into_each_others_memory(server: Server) -> None:
    rows = [[float(number), 2.0, 3.0] for number in range(40)]
    expected = [server.infer("pump", one_row(row))[1]["outputs"][1]["data"] for row in rows]
    wrong: list[Any] = []

    def ask_over_rest() -> None:
        for _ in range(5):
            for row, probabilities in zip(rows, expected, strict=True):
                if server.infer("pump", one_row(row))[1]["outputs"][1]["data"] != probabilities:
                    wrong.append(row)

    with ThreadPoolExecutor(2) as threads, stub_to(grpc_port(server)) as stub:
        others = [threads.submit(ask_over_rest) for _ in range(2)]
        for _ in range(5):
            for row, probabilities in zip(rows, expected, strict=True):
                raw = stub.ModelInfer(of(row)).raw_output_contents[1]
                if not np.array_equal(np.frombuffer(raw, np.float32), np.array(probabilities, np.float32)):
                    wrong.append(row)
        for other in others:
            other.result()
    assert wrong == []


def one_row(row: list[float]) -> dict[str, Any]:
    return {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": row}]}
