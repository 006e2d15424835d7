"""SIGTERM: no request is lost, whether its connection is kept, new or on its way."""

import http.client
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_support.bundles import PUMP_ROW
from serving_support.certificates import Authority
from serving_support.grpc_calls import pump
from serving_support.load import http_request
from serving_support.raw_http import Client, exchange, get, post, statuses
from serving_support.server_process import PATIENT, Server, running
from serving_support.terminations import replicas, terminate_under_load
from serving_support.waiting import until

LIVE, READY, INFER = "/v2/health/live", "/v2/health/ready", "/v2/models/pump/infer"
REQUEST = post(INFER, PUMP_ROW)
#: Longer than any test: only another signal ends it.
LONG = ("--shutdown-delay", "600")


@pytest.fixture
def leaving(pump_models: Path) -> Iterator[Server]:
    """Return a server that got SIGTERM and still answers, until it gets another one."""
    with running(pump_models, *LONG) as server:
        server.process.terminate()
        server.event("draining")
        yield server


def test_two_terminations_under_load_lose_no_request(pump_models: Path) -> None:
    with replicas(pump_models, "--shutdown-delay", "1", *PATIENT) as both:
        request = http_request("POST", INFER, PUMP_ROW)
        result = terminate_under_load(both, terminations=2, request=request, call=pump())
    assert result.lost == {}
    assert result.exit_codes == [0, 0]
    assert result.rest.answers[200] > 0
    assert all(calls.answers[200] > 0 for calls in result.grpc)


def test_ready_turns_false_at_once_and_new_connections_are_still_answered(leaving: Server) -> None:
    answers = [exchange(leaving.port, request)[0] for request in (get(READY), get(LIVE), REQUEST, get("/metrics"))]
    assert statuses(answers) == [503, 200, 200, 200]
    assert b"\nkfp_edge_ready 0\n" in answers[3].body
    assert {answer.headers.get("connection") for answer in answers} == {"close"}
    assert leaving.stop() == 0


def test_a_kept_connection_is_closed_with_its_next_answer_and_not_before(pump_models: Path) -> None:
    with running(pump_models, *LONG) as server, Client(server.port) as used, Client(server.port) as unused:
        first = used.send(REQUEST).answer()
        server.process.terminate()
        server.event("draining")
        # a client that knows nothing of it sends the next one
        (second,) = used.send(REQUEST).answers()
        (only,) = unused.send(REQUEST).answers()
        assert server.stop() == 0
    assert first is not None
    assert (first.status, first.headers.get("connection")) == (200, None)
    assert (second.status, second.headers["connection"]) == (200, "close")
    assert (only.status, only.headers["connection"]) == (200, "close")


def test_all_of_several_pipelined_requests_are_answered(leaving: Server) -> None:
    with Client(leaving.port) as client:
        answers = client.send(REQUEST * 50).answers()
    assert statuses(answers) == [200] * 50
    assert [answer.headers.get("connection") for answer in answers] == [None] * 49 + ["close"]
    assert leaving.stop() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_delay(leaving: Server, second: signal.Signals) -> None:
    leaving.process.send_signal(second)
    assert leaving.process.wait(timeout=30) == 0


def test_a_person_who_interrupts_the_server_does_not_wait_for_the_delay(pump_models: Path) -> None:
    with running(pump_models, *LONG) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=30) == 0


def test_a_server_that_has_loaded_nothing_yet_ends_at_once(pump_models: Path) -> None:
    with running(pump_models, *LONG, until="listening") as server:
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_client_whose_connection_was_accepted_is_answered_until_the_last_moment(
    pump_models: Path, authority: Authority, has_tls: bool
) -> None:
    """Clients connect all the time, to the very end: they are answered or refused, and no connection is reset."""
    outcomes: Counter[str] = Counter()
    certificate, key = authority.issue("localhost")
    context = authority.client()

    def connect_and_ask(port: int) -> None:
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:  # refused, or the system does not answer any more
                return
            try:
                if has_tls:
                    connection = context.wrap_socket(connection, server_hostname="localhost")
                connection.sendall(REQUEST)
                outcomes[connection.recv(1 << 16)[9:12].decode() or "closed"] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1
            finally:
                connection.close()

    tls = ("--tls-cert", str(certificate), "--tls-key", str(key)) if has_tls else ()
    with running(pump_models, "--shutdown-delay", "0.2", *PATIENT, *tls) as server:
        clients = [threading.Thread(target=connect_and_ask, args=(server.port,)) for _ in range(8)]
        for client in clients:
            client.start()
        until(lambda: outcomes["200"] > 100)
        assert server.stop() == 0
        for client in clients:
            client.join()
    assert outcomes.keys() == {"200"}


def test_over_tls_a_kept_connection_is_closed_with_its_next_answer(pump_models: Path, authority: Authority) -> None:
    certificate, key = authority.issue("localhost")
    with running(pump_models, *LONG, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        options: dict[str, Any] = {"timeout": 30, "context": authority.client()}
        kept, new = (http.client.HTTPSConnection("localhost", server.port, **options) for _ in range(2))
        answers = []
        for connection in (kept, kept, new):
            connection.request("POST", INFER, PUMP_ROW)
            answer = connection.getresponse()
            answers.append((answer.status, answer.headers["connection"], len(answer.read()) > 0))
            if len(answers) == 1:
                server.process.terminate()
                server.event("draining")
        kept.close()
        new.close()
        assert server.stop() == 0
    assert answers == [(200, None, True), (200, "close", True), (200, "close", True)]


def test_an_idle_timeout_does_not_close_on_a_request_that_has_just_arrived(pump_models: Path) -> None:
    with running(pump_models, "--idle-timeout", "1", *PATIENT) as server, Client(server.port) as client:
        assert client.send(REQUEST).answer() is not None
        time.sleep(0.6)
        # the machine stalls, and the timeout is over when the server goes on and sees the request
        server.process.send_signal(signal.SIGSTOP)
        client.send(REQUEST)
        time.sleep(1.2)
        server.process.send_signal(signal.SIGCONT)
        assert (answer := client.answer()) is not None
    assert answer.status == 200
