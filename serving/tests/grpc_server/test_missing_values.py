"""NaN both ways over gRPC, which has it as a number; rows, which are JSON, have null."""

import json
import math

import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.grpc_calls import castable, contents, fill, refused

NUMBERS = [math.nan, 1.5]


def test_typed_contents_carry_nan_both_ways(stub: GRPCInferenceServiceStub) -> None:
    answer = stub.ModelInfer(castable(fp32=NUMBERS, fp64=NUMBERS))
    # FP16 among the outputs makes all of them raw
    single, double = (answer.raw_output_contents[position] for position in (9, 10))
    np.testing.assert_array_equal(np.frombuffer(single, np.float32), NUMBERS)
    np.testing.assert_array_equal(np.frombuffer(double, np.float64), NUMBERS)


def test_typed_contents_are_answered_with_typed_nan(stub: GRPCInferenceServiceStub) -> None:
    request = castable(fp32=NUMBERS)
    request.outputs.add(name="fp32_out")
    np.testing.assert_array_equal(contents(stub.ModelInfer(request))["fp32_out"], NUMBERS)


def test_raw_contents_carry_nan_both_ways(stub: GRPCInferenceServiceStub) -> None:
    request = ModelInferRequest(model_name="pump", raw_input_contents=[np.float32([math.nan, 2, 3]).tobytes()])
    request.inputs.add(name="X", datatype="FP32", shape=[1, 3])
    request.outputs.add(name="probabilities")
    (returned,) = stub.ModelInfer(request).raw_output_contents
    assert np.isnan(np.frombuffer(returned, np.float32)).all()


def rows(model: str, row: dict[str, float | None]) -> ModelInferRequest:
    request = ModelInferRequest(model_name=model)
    fill(request, "rows", "BYTES", [1], [json.dumps(row).encode()])
    return request


def test_null_in_a_row_is_nan_to_the_model_and_listed(stub: GRPCInferenceServiceStub) -> None:
    answer = stub.ModelInfer(rows("pump", {"torque": None, "speed": 2, "wear": 3}))
    assert json.loads(answer.parameters["missing"].string_param) == [["torque"]]
    assert np.isnan(contents(answer)["probabilities"]).all()


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_cannot_be_missing_in_a_row_is_refused(stub: GRPCInferenceServiceStub, value: float | None) -> None:
    status, message = refused(lambda: stub.ModelInfer(rows("ruled", {"torque": 1, "speed": value, "wear": 0})))
    assert status == "INVALID_ARGUMENT"
    expected = "lacks the column 'speed'" if value is None else "which has no NaN and no Infinity"
    assert expected in message
