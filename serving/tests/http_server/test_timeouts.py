"""How long a client may take; the times are the test's own, but for one test of a real server."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from kfp_edge_serving.http_server.connection import Connection
from kfp_edge_serving.http_server.messages import HttpResponse
from kfp_edge_serving.limits import Limits
from serving_support.bundles import PUMP_ROW
from serving_support.raw_http import Client, FakeTransport, connected, echoing, exchange, get, head, post, statuses

LIVE = "/v2/health/live"
INFER = "/v2/models/pump/infer"
IN_CHUNKS = head(f"POST {INFER} HTTP/1.1", "Host: h", "Transfer-Encoding: chunked")
READ, IDLE = 30.0, 75.0
LIMITS = Limits(read_timeout=READ, idle_timeout=IDLE)


class Clock:
    """Checks the timeout of a connection at times that it makes up."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = 1e6
        self.wait(0)

    def wait(self, seconds: float) -> None:
        self._now += seconds
        self._connection.check_timeout(self._now)


@contextmanager
def client_of(body: bytes = b"") -> Iterator[tuple[Connection, FakeTransport, Clock]]:
    """Connect to a server that answers every request with a body."""
    connection, transport = connected(lambda _: HttpResponse(200, body), LIMITS)
    yield connection, transport, Clock(connection)


@pytest.mark.parametrize("begun", [b"G", get(LIVE)[:-2], post(INFER, PUMP_ROW)[:-1], IN_CHUNKS, IN_CHUNKS + b"1;a"])
def test_a_request_that_does_not_arrive_in_time_is_408(begun: bytes) -> None:
    with client_of() as (connection, transport, clock):
        connection.data_received(begun)
        clock.wait(1)
        clock.wait(READ - 1)
        assert (transport.written, transport.end) == (b"", None)
        clock.wait(2)
        assert transport.written.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nconnection: close\r\n" in transport.written
        assert transport.end == "closed"


def test_sending_a_little_now_and_then_gains_no_time() -> None:
    with client_of() as (connection, transport, clock):
        connection.data_received(get(LIVE)[:-2])
        clock.wait(1)
        for _ in range(round(READ)):
            assert transport.written == b""
            connection.data_received(b"a: b\r\n")
            clock.wait(1)
        clock.wait(1)
        assert transport.written.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("data", [b"", b"\r\n"])
def test_a_connection_without_a_request_is_closed_without_a_response(data: bytes) -> None:
    with client_of() as (connection, transport, clock):
        connection.data_received(data)
        clock.wait(READ)
        assert transport.end is None
        clock.wait(1)
        assert (transport.written, transport.end) == (b"", "closed")


def test_a_connection_may_idle_between_requests_for_as_long_as_the_limit() -> None:
    with client_of() as (connection, transport, clock):
        for _ in range(2):
            connection.data_received(get(LIVE))
            clock.wait(1)
            clock.wait(IDLE)
            assert transport.end is None
        clock.wait(1)
        assert (transport.written.count(b"HTTP/1.1 200 "), transport.end) == (2, "closed")


def test_a_connection_whose_request_is_being_answered_is_not_idle() -> None:
    loop = asyncio.new_event_loop()
    connection, transport = connected(lambda _: loop.create_future(), LIMITS)
    clock = Clock(connection)
    connection.data_received(get("/slow"))
    for _ in range(3):
        clock.wait(10 * IDLE)
    assert transport.end is None
    loop.close()


def test_a_client_that_reads_slowly_gets_the_whole_of_its_last_response() -> None:
    with client_of(b"x" * 1000) as (connection, transport, clock):
        connection.data_received(get("/", "Connection: close"))
        transport.end = None  # the system still has most of the response
        for transport.unsent in range(900, 0, -100):
            clock.wait(1)
            clock.wait(READ)
        assert transport.end is None
        clock.wait(1)
        assert transport.end == "aborted"


def test_a_client_that_never_reads_is_disconnected() -> None:
    with client_of(b"x" * 1000) as (connection, transport, clock):
        connection.data_received(get("/"))
        transport.unsent = 500
        clock.wait(1)
        clock.wait(READ)
        assert transport.end is None
        clock.wait(1)
        assert transport.end == "aborted"


def test_many_slow_clients_delay_nobody_else_and_are_disconnected() -> None:
    with echoing(Limits(read_timeout=0.2, idle_timeout=0.2)) as port, ExitStack() as stack:
        begun = [get(LIVE)[:-2], post(INFER, PUMP_ROW)[:-1], b""] * 20
        clients = [stack.enter_context(Client(port)).send(data) for data in begun]
        assert statuses(exchange(port, post(INFER, PUMP_ROW) * 100)) == [200] * 100
        assert [statuses(client.answers()) for client in clients] == [[408], [408], []] * 20
