"""The standard health service, as kubelets and gRPC clients ask it; messages are written as bytes."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from serving_support.grpc_calls import INFER, channel_to, grpc_port, pump, refused, run_grpc_only
from serving_support.server_process import Server, running

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
OUR_SERVICE = b"\x0a\x1einference.GRPCInferenceService"
UNKNOWN_SERVICE = b"\x0a\x05other"


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with channel_to(grpc_port(server)) as channel:
        yield channel


@pytest.mark.parametrize("service", [b"", OUR_SERVICE])
def test_the_server_and_its_service_are_serving(channel: grpc.Channel, service: bytes) -> None:
    assert channel.unary_unary(CHECK)(service) == SERVING
    assert next(channel.unary_stream(WATCH)(service)) == SERVING


def test_a_service_that_there_is_not(channel: grpc.Channel) -> None:
    message = "there is no service 'other' here."
    assert refused(lambda: channel.unary_unary(CHECK)(UNKNOWN_SERVICE)) == ("NOT_FOUND", message)
    assert next(channel.unary_stream(WATCH)(UNKNOWN_SERVICE)) == SERVICE_UNKNOWN


def test_a_server_that_is_not_ready_is_not_serving(models: Path) -> None:
    with run_grpc_only(models, "--not-ready") as server, channel_to(server.port) as channel:
        assert channel.unary_unary(CHECK)(b"") == NOT_SERVING


def test_a_kubelet_needs_no_token(token_server: Server) -> None:
    with channel_to(grpc_port(token_server)) as channel:
        assert channel.unary_unary(CHECK)(b"") == SERVING
        assert next(channel.unary_stream(WATCH)(b"")) == SERVING


def test_who_watches_learns_that_the_server_ends(models: Path) -> None:
    with running(models, "--grpc-port", "0") as server, channel_to(grpc_port(server)) as channel:
        statuses = channel.unary_stream(WATCH)(b"")
        assert next(statuses) == SERVING
        server.process.terminate()
        assert next(statuses) == NOT_SERVING
        assert refused(lambda: next(statuses)) == ("UNAVAILABLE", "the server is shutting down.")
        assert server.process.wait(timeout=30) == 0


def test_who_watches_takes_no_place_of_a_call(models: Path) -> None:
    with run_grpc_only(models, grpc_max_calls=2) as server, channel_to(server.port) as channel:
        watches = [channel.unary_stream(WATCH)(b"") for _ in range(10)]
        assert [next(statuses) for statuses in watches] == [SERVING] * 10
        assert channel.unary_unary(INFER)(pump().SerializeToString())
        server.wait_until_in_flight(0)


def test_those_who_watch_are_limited_and_make_room_when_they_go(models: Path) -> None:
    with run_grpc_only(models) as server, channel_to(server.port) as channel:
        watches = [channel.unary_stream(WATCH)(b"") for _ in range(256)]
        assert {next(statuses) for statuses in watches} == {SERVING}
        assert refused(lambda: next(channel.unary_stream(WATCH)(b"")))[0] == "RESOURCE_EXHAUSTED"
        for statuses in watches:
            statuses.cancel()
        done = threading.Event()
        for _ in range(100):
            try:
                assert next(channel.unary_stream(WATCH)(b"")) == SERVING
            except grpc.RpcError:  # not all of them have gone
                done.wait(0.05)
            else:
                return
        pytest.fail("there is no room again")
