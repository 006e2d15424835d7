"""Connections that clients treat badly: none of them ends the server, holds up others or takes its memory."""

import random
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest

from serving_support.grpc_calls import (
    INFER,
    GrpcOnlyServer,
    channel_to,
    code_of,
    endless_bundle,
    fill,
    pump,
    run_grpc_only,
    stub_to,
)
from serving_support.raw_http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Http2Client,
    frame,
    headers,
    message,
)
from serving_support.server_process import memory

KINDS = [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, 77]
MESSAGE = pump().SerializeToString()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pump_models: Path) -> Iterator[GrpcOnlyServer]:
    with run_grpc_only(pump_models, read_timeout=2.0) as server:
        yield server


def answers(server: GrpcOnlyServer) -> bool:
    """Whether a new client is answered."""
    with stub_to(server.port) as stub:
        return str(stub.ModelInfer(pump(), timeout=30).model_name) == "pump"


MALFORMED = {
    "no HTTP/2": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "headers on stream 0": frame(HEADERS, END_HEADERS, 0, headers()),
    "data before headers": frame(DATA, END_STREAM, 1, message(MESSAGE)),
    "an even stream": frame(HEADERS, END_HEADERS, 2, headers()),
    "a header block that is no HPACK": frame(HEADERS, END_HEADERS, 1, b"\xff" * 40),
    "no path": frame(HEADERS, END_HEADERS, 1, headers(path="")),
    "headers that end with no continuation": frame(HEADERS, 0, 1, headers()) + frame(PING, 0, 0, bytes(8)),
    "a frame beyond the size of frames": frame(DATA, 0, 1, bytes(1 << 20)),
    "settings of five bytes": frame(SETTINGS, 0, 0, bytes(5)),
    "a ping of three bytes": frame(PING, 0, 0, bytes(3)),
    "a window update of 0": frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    "a window that overflows": frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "a push promise": frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)),
    "a reset of a stream that is idle": frame(RST_STREAM, 0, 99, bytes(4)),
    "the end of the connection": frame(GOAWAY, 0, 0, bytes(8)),
    "a message that is longer than it says": frame(HEADERS, END_HEADERS, 1, headers())
    + frame(DATA, END_STREAM, 1, message(MESSAGE) + b"more"),
    "a message that ends early": frame(HEADERS, END_HEADERS, 1, headers())
    + frame(DATA, END_STREAM, 1, message(MESSAGE)[:-1]),
    "a message that says 4 GiB": frame(HEADERS, END_HEADERS, 1, headers())
    + frame(DATA, END_STREAM, 1, b"\0\xff\xff\xff\xff"),
    "two messages": frame(HEADERS, END_HEADERS, 1, headers()) + frame(DATA, END_STREAM, 1, message(MESSAGE) * 2),
    "a compression that there is not": frame(HEADERS, END_HEADERS, 1, headers(grpc_encoding="zstd"))
    + frame(DATA, END_STREAM, 1, b"\1" + message(MESSAGE)[1:]),
    "a deadline that is no number": frame(HEADERS, END_HEADERS, 1, headers(grpc_timeout="soon"))
    + frame(DATA, END_STREAM, 1, message(MESSAGE)),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_whatever_a_client_sends_others_are_answered(server: GrpcOnlyServer, what: str) -> None:
    with Http2Client(server.port) as client:
        client.send(MALFORMED[what])
        assert answers(server)
    server.wait_until_in_flight(0)


def test_random_and_spoiled_frames_end_no_server(server: GrpcOnlyServer) -> None:
    chance = random.Random(0)
    good = frame(HEADERS, END_HEADERS, 1, headers()) + frame(DATA, END_STREAM, 1, message(MESSAGE))
    for number in range(300):
        with Http2Client(server.port) as client:
            if number % 2:
                spoiled = bytearray(good)
                for _ in range(chance.randint(1, 4)):
                    spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
                client.send(bytes(spoiled))
            else:
                for _ in range(chance.randint(1, 6)):
                    content = chance.randbytes(chance.choice([0, 4, 5, 8, 40]))
                    client.send(frame(chance.choice(KINDS), chance.randrange(256), chance.choice([0, 1, 3]), content))
        if number % 50 == 0:
            assert answers(server)
    assert answers(server)
    server.wait_until_in_flight(0)


def test_a_ping_is_answered_and_calls_of_one_connection_do_not_wait_for_each_other(server: GrpcOnlyServer) -> None:
    with Http2Client(server.port) as client:
        silent = [client.begin() for _ in range(20)]
        stream = client.call(MESSAGE)
        assert client.wait_for(HEADERS, stream)
        client.send(frame(PING, 0, 0, b"12345678"))
        assert next(one for one in client.frames() if one.kind == PING and one.flags & ACK).content == b"12345678"
        assert stream > silent[-1]


def test_calls_that_are_reset_leave_nothing(server: GrpcOnlyServer) -> None:
    with Http2Client(server.port) as client:
        for number in range(500):
            stream = client.begin() if number % 2 else client.call(MESSAGE)
            client.send(frame(RST_STREAM, 0, stream, (8).to_bytes(4, "big")))
        last = client.call(MESSAGE)
        assert client.wait_for(HEADERS, last)
    server.wait_until_in_flight(0)


def test_a_client_that_vanishes_in_the_middle_of_a_call_leaves_nothing(server: GrpcOnlyServer) -> None:
    for _ in range(20):
        with Http2Client(server.port) as client:
            stream = client.begin()
            client.send(frame(DATA, 0, stream, message(MESSAGE)[:20]))
            client.call(MESSAGE)
    server.wait_until_in_flight(0)


def test_a_client_that_closes_its_side_is_still_answered(server: GrpcOnlyServer) -> None:
    with Http2Client(server.port) as client:
        stream = client.call(MESSAGE)
        client.send(frame(GOAWAY, 0, 0, bytes(8)))
        assert client.wait_for(HEADERS, stream)


def test_a_client_that_takes_no_answer_is_cancelled_and_holds_up_no_other(server: GrpcOnlyServer) -> None:
    no_window = INITIAL_WINDOW_SIZE.to_bytes(2, "big") + bytes(4)
    with Http2Client(server.port, no_window) as client:
        streams = [client.call(MESSAGE) for _ in range(50)]
        server.wait_until_in_flight(50)
        assert answers(server)
        assert client.wait_for(RST_STREAM, streams[0])
        server.wait_until_in_flight(0)


def test_answers_that_nobody_takes_are_limited(models: Path) -> None:
    request = pump(rows=1200).SerializeToString()
    no_window = INITIAL_WINDOW_SIZE.to_bytes(2, "big") + bytes(4)
    # answers of 19 kB, and 16 times the size of a message is kept of them
    with run_grpc_only(models, max_body=len(request)) as server:
        with Http2Client(server.port, no_window) as client:
            for _ in range(30):
                assert client.wait_for(HEADERS, client.call(request))
            state = server.state()
        assert state["overloaded"] > 0
        assert 10 <= state["in_flight"] < 30
        server.wait_until_in_flight(0)
        assert answers(server)


def test_a_call_beyond_its_deadline_ends_and_so_does_what_waits_for_a_thread(models: Path) -> None:
    endless_bundle(models)
    request = ModelInferRequest(model_name="press")
    fill(request, "turns", "INT64", [1], [10**12])
    with run_grpc_only(models, max_wait=60.0) as server, channel_to(server.port) as channel:
        call = channel.unary_unary(INFER)
        message = request.SerializeToString()
        assert code_of(lambda: call(message, timeout=0.2)) == "DEADLINE_EXCEEDED"
        # more than there are threads: those behind are never computed
        waiting = [call.future(message, timeout=0.2) for _ in range(20)]
        assert {one.code() for one in waiting} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert call(MESSAGE, timeout=30)


def test_200_000_bytes_of_metadata_are_refused(server: GrpcOnlyServer) -> None:
    with channel_to(server.port) as channel:
        call = channel.unary_unary(INFER)
        assert code_of(lambda: call(MESSAGE, metadata=[("x", "a" * 200_000)])) == "RESOURCE_EXHAUSTED"
    assert answers(server)


def test_memory_stays_what_it_was_over_many_calls(server: GrpcOnlyServer) -> None:
    with channel_to(server.port) as channel:
        call = channel.unary_unary(INFER)

        def make_calls(count: int) -> None:
            for number in range(count):
                numbers = np.array([number, 2, 3], np.float32).tobytes()
                request = pump(id=str(number))
                request.raw_input_contents[0] = numbers
                call(request.SerializeToString())
                if number % 100 == 0:
                    code_of(lambda: call(b"\xff"))

        make_calls(1000)
        before = memory(server.process)
        make_calls(4000)
        assert memory(server.process) - before < 2 << 20
