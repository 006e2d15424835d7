"""Whatever is sent over gRPC is answered, or refused with the status of an error of the client."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.grpc_calls import INFER, channel_to, code_of, grpc_port, pump
from serving_support.server_process import Server
from serving_support.typed_bundles import TYPES

CLIENT_ERRORS = {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
RAW_VALUES = st.one_of(
    st.binary(max_size=64),
    st.lists(st.binary(max_size=8), max_size=4).map(
        lambda values: b"".join(len(value).to_bytes(4, "little") + value for value in values)
    ),
    st.lists(st.sampled_from([b"H", b"L", b"M"]), max_size=3).map(
        lambda values: b"".join(b"\1\0\0\0" + value for value in values)
    ),
)
INPUTS = st.lists(
    st.tuples(
        st.sampled_from(["torque", "Type", "count", "on", ""]),
        st.sampled_from([*TYPES, "BF16", ""]),
        st.lists(st.one_of(st.integers(-2, 4), st.integers(-(2**63), 2**63 - 1)), max_size=3),
        RAW_VALUES,
    ),
    max_size=5,
)
#: A good request for `mill` that is then spoiled in one place: deeper than what chance alone would reach.
GOOD = [
    ("torque", "FP32", [2, 1], bytes(8)),
    ("Type", "BYTES", [2, 1], b"\1\0\0\0H\1\0\0\0L"),
    ("count", "INT64", [2, 1], bytes(16)),
    ("on", "BOOL", [2, 1], b"\0\1"),
]


@st.composite
def spoiled(draw: st.DrawFn) -> list[tuple[str, str, list[int], bytes]]:
    inputs = list(GOOD)
    place = draw(st.integers(0, 3))
    name, datatype, shape, raw = inputs[place]
    inputs[place] = draw(
        st.one_of(
            st.tuples(st.just(name), st.just(datatype), st.just(shape), RAW_VALUES),
            st.tuples(
                st.just(name), st.just(datatype), st.just(shape), st.binary(min_size=len(raw), max_size=len(raw))
            ),
            st.tuples(
                st.just(name), st.just(datatype), st.just(shape), st.integers(0, len(raw)).map(lambda n: raw[:n])
            ),
            st.tuples(st.just(name), st.just(datatype), st.lists(st.integers(-1, 3), max_size=3), st.just(raw)),
            st.tuples(st.just(name), st.sampled_from([*TYPES]), st.just(shape), st.just(raw)),
        )
    )
    return inputs


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inputs=st.one_of(INPUTS, spoiled()))
def test_raw_contents_of_any_kind_are_answered_or_refused(
    stub: GRPCInferenceServiceStub, inputs: list[tuple[str, str, list[int], bytes]]
) -> None:
    request = ModelInferRequest(model_name="mill")
    for name, datatype, shape, raw in inputs:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    assert code_of(lambda: stub.ModelInfer(request)) in CLIENT_ERRORS | {"OK"}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 200), byte=st.integers(0, 255), tail=st.binary(max_size=8))
def test_messages_of_any_bytes_are_answered_or_refused(server: Server, position: int, byte: int, tail: bytes) -> None:
    message = bytearray(pump(id="7").SerializeToString())
    message[position % len(message)] = byte
    with channel_to(grpc_port(server)) as channel:
        code = code_of(lambda: channel.unary_unary(INFER)(bytes(message) + tail))
    assert code in CLIENT_ERRORS | {"OK", "NOT_FOUND"}


def test_it_still_answers_after_all_of_this(stub: GRPCInferenceServiceStub) -> None:
    assert stub.ModelInfer(pump()).model_name == "pump"
