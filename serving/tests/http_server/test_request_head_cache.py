"""Heads that are known: what may vary in them, and what may not."""

import pytest

from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse
from serving_support.raw_http import connected, post

IDS = ["4bf92f3577b34da6", "00f067aa0ba902b7", "a3ce929d0e0e4736"]


def traced(number: int, body: bytes = b"hello", *more: str) -> bytes:
    lines = (f"X-Request-Id: {IDS[number]}", f"traceparent: 00-{2 * IDS[number]}-{IDS[number]}-01", *more)
    return post("/b", body, *lines)


def known(*seen: bytes, data: bytes) -> HttpRequest | None:
    """Return what a cache finds that has seen some requests."""
    connection, _ = connected(lambda request: HttpResponse(200, b""))
    for one in seen:
        connection.data_received(one)
    return connection._server.head_cache.find(data, False)


def test_ids_and_trace_contexts_may_vary() -> None:
    found = known(traced(0), traced(1), data=traced(2))
    assert found is not None
    assert (found.path, found.body) == (b"/b", b"hello")
    assert found.headers[b"traceparent"] == f"00-{2 * IDS[2]}-{IDS[2]}-01".encode()
    assert found.headers[b"host"] == b"h"


def test_the_length_of_the_body_may_vary_as_well_once_it_was_seen() -> None:
    for body in (b"hello", b"hello!"):
        found = known(traced(0), traced(1, b"hello!"), traced(2), data=traced(0, body))
        assert found is not None
        assert found.body == body


@pytest.mark.parametrize(
    "data",
    [
        traced(2).replace(b"/b", b"/c"),
        traced(2).replace(b"POST", b"PUTS"),
        traced(2).replace(b"Host", b"Hast"),
        traced(2).replace(b"Host: h", b"Host: i"),
        traced(2).replace(IDS[2].encode() + b"\r\n", b"12345678901\r\nX: \r\n"),
        traced(2).replace(IDS[2].encode() + b"\r\n", b"12345678901\nX: 3\r\n"),
        traced(2).replace(b"-01", b"-\x011"),
        traced(2).replace(b"-01", b"-\xff1"),
        traced(2)[:-1],
        traced(2) + b"x",
    ],
)
def test_nothing_else_may_vary(data: bytes) -> None:
    assert known(traced(0), traced(1), data=data) is None


@pytest.mark.parametrize("name", ["Authorization", "Content-Encoding", "Inference-Header-Content-Length", "Connection"])
def test_a_header_that_decides_how_the_request_is_read_has_to_be_the_same(name: str) -> None:
    seen = [traced(0, b"hello", f"{name}: 1"), traced(1, b"hello", f"{name}: 2")]
    assert known(*seen, data=traced(2, b"hello", f"{name}: 3")) is None
    found = known(*seen, data=traced(2, b"hello", f"{name}: 2"))
    assert found is not None


def test_a_header_in_two_lines_may_not_vary() -> None:
    seen = [traced(number, b"hello", "traceparent: 00-1-1-01") for number in range(3)]
    assert known(*seen[:2], data=seen[2]) is None
