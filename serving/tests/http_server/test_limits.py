"""How much one client may send, and how many may connect, so that the server can go on serving the others."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kfp_edge_serving.limits import Limits
from serving_support.bundles import PUMP_ROW
from serving_support.raw_http import Client, chunked, echoing, exchange, get, head, post, statuses
from serving_support.server_process import PATIENT, Server, memory, running
from serving_support.waiting import until

LIVE = "/v2/health/live"
INFER = "/v2/models/pump/infer"
IN_CHUNKS = head(f"POST {INFER} HTTP/1.1", "Host: h", "Transfer-Encoding: chunked")
MIB = 1 << 20


@pytest.fixture(scope="module")
def strict(pump_models: Path) -> Iterator[Server]:
    """Return a server with small limits."""
    options = (
        "--max-body",
        str(MIB),
        "--max-connections",
        "64",
        "--read-timeout",
        "0.5",
        "--idle-timeout",
        "0.5",
        *PATIENT,
    )
    with running(pump_models, *options) as server:
        # so that what the first requests leave behind is not counted as growth
        exchange(server.port, post(INFER, PUMP_ROW) * 2000 + get("/metrics"))
        yield server


def gauge(server: Server, name: str) -> int:
    return int(next(line for line in server.get("/metrics")[1].splitlines() if line.startswith(name)).split()[1])


def await_gauge(server: Server, name: str, value: int) -> None:
    until(lambda: gauge(server, name) == value)


# --- sizes ---

TOO_LONG = {
    "a long header": get(LIVE, f"X: {'a' * 17_000}"),
    "a long name of a header": get(LIVE, f"{'a' * 17_000}: x"),
    "a long target": get(f"/{'a' * 17_000}"),
    "many headers": get(LIVE, *["a: b"] * 1000),
    "a header that never ends": get(LIVE)[:-2] + b"X: " + b"a" * 300_000,
    "a trailer that never ends": IN_CHUNKS + b"0\r\nX: " + b"a" * 300_000,
    "many trailers": IN_CHUNKS + b"0\r\n" + b"a: b\r\n" * 1000,
    "an extension that never ends": IN_CHUNKS + b"1;" + b"a" * 600_000,
}


@pytest.mark.parametrize("case", TOO_LONG)
def test_a_head_that_is_too_long_is_431(strict: Server, case: str) -> None:
    with Client(strict.port) as client:
        assert statuses(client.send(TOO_LONG[case]).answers()) == [431]


def test_a_long_but_reasonable_head_is_taken(strict: Server) -> None:
    headers = [f"X-{number}: {'a' * 100}" for number in range(100)]
    assert statuses(exchange(strict.port, get(LIVE, *headers))) == [200]


def test_a_body_may_be_as_large_as_the_limit_and_not_a_byte_larger(strict: Server) -> None:
    body = PUMP_ROW.ljust(MIB)
    assert statuses(exchange(strict.port, post(INFER, body) + chunked(INFER, body[:1000], body[1000:]))) == [200, 200]
    for request in (post(INFER, body + b" "), chunked(INFER, body, b" ")):
        with Client(strict.port) as client:
            assert statuses(client.send(request + get(LIVE)).answers()) == [413]


def test_a_body_in_tiny_chunks_takes_no_more_memory_than_it_is_large(strict: Server) -> None:
    before = memory(strict.process, peak=True)
    with Client(strict.port) as client:
        client.send(IN_CHUNKS + b"2\r\n  \r\n" * (MIB // 2 - 1))
        assert statuses(client.end().answers()) == [400]
    assert memory(strict.process, peak=True) - before < 8 * MIB


def test_unfinished_bodies_take_a_bounded_share_of_memory(strict: Server) -> None:
    before = memory(strict.process, peak=True)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(strict.port)) for _ in range(48)]
        for client in clients:
            client.send(post(INFER, b" " * MIB)[:-1])
        assert statuses(exchange(strict.port, post(INFER, PUMP_ROW))) == [200]
        ends = [client.answer() for client in clients]
    # 503 at once for those beyond what the server holds, 408 for the others once their time is over
    assert {end and end.status for end in ends} == {408, 503}
    assert {end.headers.get("retry-after") for end in ends if end and end.status == 503} == {"1"}
    assert memory(strict.process, peak=True) - before < 40 * MIB
    await_gauge(strict, "kfp_edge_connections", 1)
    assert statuses(exchange(strict.port, post(INFER, PUMP_ROW.ljust(MIB)))) == [200]


# --- connections ---


def test_beyond_the_limit_only_probes_are_answered(pump_models: Path) -> None:
    with running(pump_models, "--max-connections", "3") as server, ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(Client(server.port))
            assert client.send(get(LIVE)).answer() is not None
        with Client(server.port) as excess:
            (probed,) = excess.send(get(LIVE)).answers()
        with Client(server.port) as excess:
            (refused,) = excess.send(post(INFER, PUMP_ROW) + get(LIVE)).answers()
        assert (probed.status, probed.headers["connection"]) == (200, "close")
        assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (503, "1", "close")
        stack.close()
        await_gauge(server, "kfp_edge_connections", 1)
        assert statuses(exchange(server.port, post(INFER, PUMP_ROW) * 2)) == [200, 200]


def test_probes_are_answered_again_soon_after_many_more_connections_than_that() -> None:
    with echoing(Limits(max_connections=3, linger_timeout=0.1)) as port, ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(100)]
        until(lambda: statuses(exchange(port, get(LIVE))) == [200])
        # the first ones are within the limit, and stay connected
        assert statuses([clients[0].send(post(INFER, PUMP_ROW)).answer() or pytest.fail("closed")]) == [200]


# --- clients that do not read ---


def test_a_client_that_does_not_read_is_not_read_from_either_and_loses_nothing(pump_models: Path) -> None:
    request = get("/metrics")
    with running(pump_models) as server, Client(server.port, buffers=1 << 16) as client:
        exchange(server.port, request * 1000)
        before = memory(server.process, peak=True)
        taken = client.send_while_taken(request * 20_000)
        assert taken < len(request) * 20_000
        assert statuses(exchange(server.port, post(INFER, PUMP_ROW))) == [200]
        assert memory(server.process, peak=True) - before < 8 * MIB
        whole, rest = divmod(taken, len(request))
        assert statuses(client.end().answers()) == [200] * whole + [400] * bool(rest)
