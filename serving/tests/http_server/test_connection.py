"""Connections of HTTP/1.1: keep-alive, pipelining, half-closed connections, clients that disconnect."""

import re

import pytest

from serving_support.raw_http import (
    Answer,
    Client,
    chunked,
    echo_body,
    exchange,
    feed,
    get,
    head,
    post,
    statuses,
)
from serving_support.server_process import Server
from serving_support.waiting import until

LIVE = "/v2/health/live"
INFER = "/v2/models/pump/infer"
TOO_LARGE = head("POST / HTTP/1.1", "Host: h", "Content-Length: 99999999")


def test_a_trailer_passes_for_no_header(server: Server) -> None:
    body = b'{"inputs": []}'
    (answer,) = exchange(server.port, chunked(INFER, body, trailer=b"Inference-Header-Content-Length: 3\r\n"))
    assert b"input 'X' is missing" in answer.body


@pytest.mark.parametrize(
    ("lines", "keeps"),
    [
        (["GET /v2/health/live HTTP/1.1", "Host: h"], True),
        (["GET /v2/health/live HTTP/1.1", "Host: h", "Connection: close"], False),
        (["GET /v2/health/live HTTP/1.1", "Host: h", "Connection: x, Close"], False),
        (["GET /v2/health/live HTTP/1.1", "Host: h", "Connection: close, upgrade", "Upgrade: h2c"], False),
        (["GET /v2/health/live HTTP/1.0"], False),
        (["GET /v2/health/live HTTP/1.0", "Connection: Keep-Alive"], True),
    ],
)
def test_a_connection_is_kept_as_long_as_the_client_wants(server: Server, lines: list[str], keeps: bool) -> None:
    with Client(server.port) as client:
        client.send(head(*lines) + get("/x")).end()
        answers = client.answers()
    assert statuses(answers) == ([200, 404] if keeps else [200])
    assert answers[0].headers.get("connection", "").lower() == (
        "close" if not keeps else "keep-alive" if "1.0" in lines[0] else ""
    )


def test_the_answer_to_head_is_that_to_get_without_its_body(server: Server) -> None:
    with Client(server.port) as client:
        client.send(head("HEAD /v2 HTTP/1.1", "Host: h") + get("/v2"))
        head_answer, answer = client.answer(has_body=False), client.answer()
    assert head_answer is not None
    assert answer is not None
    assert head_answer.headers["content-length"] == str(len(answer.body))


# --- pipelining ---


def test_pipelined_requests_are_answered_in_their_order_also_when_a_thread_answers_some(server: Server) -> None:
    wide = b'{"id": "wide", "inputs": [{"name": "X", "datatype": "FP32", "shape": [4000, 3], "data": [%b]}]}'
    large = wide % b",".join([b"0.25"] * 12_000)
    small = b'{"id": "small", "inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}'
    data = get(LIVE) + post(INFER, large) + get("/x") + post(INFER, small) + post(INFER, large) + get(LIVE)
    answers = exchange(server.port, data)
    kinds = [re.findall(rb'"id":"(\w+)"', answer.body) or answer.status for answer in answers]
    assert kinds == [200, [b"wide"], 404, [b"small"], [b"wide"], 200]


def test_a_refusal_waits_for_the_thread_that_answers_the_request_before_it(echo: int) -> None:
    data = get("/later") + post("/", b"") + TOO_LARGE + b"x" * 300_000
    with Client(echo) as client:
        answers = client.send(data).answers()
    assert statuses(answers) == [200, 200, 413]
    assert answers[-1].body == b'{"error":"the body is larger than 4194304 bytes; send fewer rows."}'


# --- Expect ---


def test_a_client_that_expects_100_continue_receives_it(server: Server) -> None:
    body = b'{"inputs": []}'
    request = post(INFER, body, "Expect: 100-continue")
    with Client(server.port) as client:
        client.send(request[: -len(body)])
        assert client.answer() == Answer(100, {}, b"")
        client.send(body)
        assert (answer := client.answer()) is not None
    assert b"input 'X' is missing" in answer.body


def test_100_continue_follows_the_responses_to_the_requests_before(echo: int) -> None:
    request = post("/b", b"hello", "Expect: 100-continue")
    with Client(echo) as client:
        client.send(get("/a") + get("/later") + request[:-5])
        answers = [client.answer(), client.answer(), client.answer()]
        client.send(b"hello" + get("/c")).end()
        answers += client.answers()
    assert [answer and answer.status for answer in answers] == [200, 200, 100, 200, 200]


def test_100_continue_is_sent_also_if_the_request_offers_an_upgrade(echo: int) -> None:
    request = post("/b", b"hello", "Expect: 100-continue", "Connection: Upgrade", "Upgrade: h2c")
    with Client(echo) as client:
        client.send(request[:-5])
        assert client.answer() == Answer(100, {}, b"")
        assert (answer := client.send(b"hello").answer()) is not None
    assert answer.body == echo_body(b"POST", b"/b", b"hello")


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    with Client(server.port) as client:
        answers = client.send(TOO_LARGE[:-2] + b"Expect: 100-continue\r\n\r\n").answers()
    assert statuses(answers) == [413]


@pytest.mark.parametrize(
    ("request_", "is_whole"),
    [
        (post("/b", b"hello", "Expect: 100-continue"), True),
        (post("/b", b"hello", "Expect: something"), False),
        (post("/b", b"hello", "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (head("GET /b HTTP/1.1", "Host: h", "Expect: 100-continue"), True),
    ],
)
def test_100_continue_is_not_sent_if_it_is_not_needed(request_: bytes, is_whole: bool) -> None:
    written = feed([request_] if is_whole else [request_[:-5], request_[-5:]]).written
    assert re.findall(rb"HTTP/1.1 (\d+)", written) == [b"200"]


# --- clients that leave ---


def test_a_half_closed_connection_still_gets_all_responses(server: Server) -> None:
    assert statuses(exchange(server.port, get(LIVE) * 3)) == [200, 200, 200]


@pytest.mark.parametrize("cut", [1, 10, 30, -10, -1])
def test_a_request_that_is_cut_short_is_refused(server: Server, cut: int) -> None:
    request = post(INFER, b"x" * 20)
    assert statuses(exchange(server.port, get(LIVE) + request[:cut])) == [200, 400]


def test_clients_that_disconnect_within_a_request_leave_nothing_behind(server: Server) -> None:
    body = b" " * 100_000
    for data in (b"GE", get(LIVE)[:-2], post(INFER, body)[:-1], post(INFER, body), chunked(INFER, body)[:-3]) * 4:
        with Client(server.port) as client:
            client.send(data)
    assert in_flight(server) == {"connections": 1, "requests_in_flight": 0}


def in_flight(server: Server) -> dict[str, int]:
    """Return how many connections and requests the server has, this one included, once the last one has gone."""
    gauges: dict[str, int] = {}

    def is_alone() -> bool:
        metrics = server.get("/metrics")[1]
        for name in ("connections", "requests_in_flight"):
            gauges[name] = int(re.findall(rf"^kfp_edge_{name} (\d+)$", metrics, re.MULTILINE)[0])
        return gauges["connections"] == 1

    until(is_alone)
    return gauges
