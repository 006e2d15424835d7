"""Requests that are refused before a model is asked: counted by reason, and logged."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest, RepositoryIndexRequest

from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import TOO_MANY_BYTES, RequestError
from kfp_edge_serving.telemetry import refusals as refusals_module
from kfp_edge_serving.telemetry.refusals import Refusals
from serving_support.bundles import PUMP_ROW
from serving_support.exposition import Exposition
from serving_support.grpc_calls import (
    calls_without_message,
    channel_to,
    endless_bundle,
    fill,
    grpc_port,
    pump,
    refused,
    stub_to,
)
from serving_support.raw_http import Client, exchange, get, head, post, statuses
from serving_support.server_process import PATIENT, Server, running
from serving_support.waiting import until

LIVE, READY, INFER = "/v2/health/live", "/v2/health/ready", "/v2/models/pump/infer"
MIB = 1 << 20
LIMITS = ("--max-body", str(MIB), "--read-timeout", "0.3", "--max-connections", "40", "--grpc-port", "0")


def counts(server: Server, protocol: str = "rest") -> dict[str, int]:
    """Return how many requests were refused, by reason."""
    metrics = Exposition(server.get("/metrics")[1])
    values = metrics.counted("kfp_edge_refused_requests_total", "reason", protocol=protocol)
    return {reason: int(value) for reason, value in values.items()}


def overloaded(server: Server) -> int:
    return int(Exposition(server.get("/metrics")[1]).value("kfp_edge_overloaded_total"))


@pytest.fixture
def server(pump_models: Path) -> Iterator[Server]:
    with running(pump_models, *LIMITS, *PATIENT) as server:
        yield server


REFUSED = {
    "malformed": (b"no HTTP\r\n\r\n", 400),
    "not_found": (post("/v2/models/fan/infer", PUMP_ROW), 404),
    "method_not_allowed": (get(INFER), 405),
    "timeout": (post(INFER, PUMP_ROW)[:-1], 408),
    "body_too_large": (head(f"POST {INFER} HTTP/1.1", "Host: h", f"Content-Length: {MIB + 1}"), 413),
    "head_too_large": (get(LIVE, f"X: {'a' * 17_000}"), 431),
    "not_supported": (head("CONNECT h:1 HTTP/1.1", "Host: h"), 501),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refused_request_is_counted_by_its_reason_and_logged(server: Server, reason: str) -> None:
    request, status = REFUSED[reason]
    with Client(server.port) as client:
        client.send(request)
        assert (answer := client.answer()) is not None
    assert (answer.status, counts(server), overloaded(server)) == (status, {reason: 1}, 0)
    event = server.event("requests refused")
    assert (event["level"], event["protocol"], event["reason"]) == ("warning", "rest", reason)
    assert (event["status"], event["requests"], event["error"].endswith(".")) == (status, 1, True)


def test_a_request_without_access_is_counted_over_both_protocols(token_server: Server) -> None:
    before = {"rest": 0, "grpc": 0}

    def unauthorized() -> dict[str, int]:
        request = get("/metrics", "Authorization: Bearer s3cret")
        metrics = Exposition(exchange(token_server.port, request)[0].body.decode())
        values = metrics.values("kfp_edge_refused_requests_total", "protocol", reason="unauthorized")
        return before | {protocol: int(value) for protocol, value in values.items()}

    before = unauthorized()
    assert statuses(exchange(token_server.port, post(INFER, PUMP_ROW) * 2)) == [401, 401]
    with stub_to(grpc_port(token_server)) as stub:
        assert refused(lambda: stub.ModelInfer(pump()))[0] == "UNAUTHENTICATED"
    assert unauthorized() == {"rest": before["rest"] + 2, "grpc": before["grpc"] + 1}


def test_calls_over_grpc_that_reach_no_model_are_counted(server: Server) -> None:
    with stub_to(grpc_port(server)) as stub:
        refused(lambda: stub.ModelInfer(pump(model_version="7")))
        refused(lambda: stub.RepositoryIndex(RepositoryIndexRequest()))
    assert counts(server, "grpc") == {"not_found": 1, "not_supported": 1}


def test_a_call_whose_message_does_not_arrive_is_counted_once(server: Server) -> None:
    with channel_to(grpc_port(server)) as channel, calls_without_message(channel) as ([call], _):
        assert call.code().name == "CANCELLED"
        assert server.event("requests refused")["reason"] == "timeout"
        assert counts(server, "grpc") == {"timeout": 1}


def test_connections_beyond_the_limit_are_counted_as_overload(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(Client(server.port))
            assert client.send(get(LIVE)).answer() is not None
        with Client(server.port) as excess:
            assert statuses(excess.send(post(INFER, PUMP_ROW)).answers()) == [503]
    until(lambda: overloaded(server) == 1)
    assert counts(server) == {"too_many_connections": 1}


def test_bodies_beyond_what_the_server_buffers_are_counted_as_overload(server: Server) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.port)) for _ in range(20)]
        for client in clients:
            client.send(post(INFER, b" " * MIB)[:-1])
        answers = [client.answer() for client in clients]
    full = [answer for answer in answers if answer and answer.status == 503]
    assert counts(server) == {TOO_MANY_BYTES: len(full), "timeout": 20 - len(full)}
    assert overloaded(server) == len(full) > 0


def test_calls_that_would_wait_too_long_are_counted_once_and_logged(tmp_path: Path) -> None:
    endless_bundle(tmp_path)
    request = ModelInferRequest(model_name="press")
    fill(request, "turns", "INT64", [1], [10**12])
    with running(tmp_path, "--max-wait", "0.1", "--grpc-port", "0") as server, stub_to(grpc_port(server)) as stub:
        calls = [stub.ModelInfer.future(request) for _ in range(usable_cpus() + 1)]
        until(lambda: any(call.done() for call in calls))
        assert (counts(server, "grpc"), overloaded(server)) == ({"overloaded": 1}, 1)
        event = server.event("requests refused")
        assert (event["protocol"], event["reason"], event["requests"]) == ("grpc", "overloaded", 1)


def test_a_refusal_by_a_model_is_counted_with_that_model_only(server: Server) -> None:
    assert statuses(exchange(server.port, post(INFER, b"{"))) == [400]
    metrics = Exposition(server.get("/metrics")[1])
    assert metrics.counted("kfp_edge_requests_total", "code", protocol="rest") == {"400": 1}
    assert counts(server) == {}


def test_while_models_load_probes_are_answered_and_requests_are_refused(pump_models: Path) -> None:
    with running(pump_models, until="listening") as server:
        answers = exchange(server.port, get(READY) + post(INFER, PUMP_ROW))
        server.event("ready")
        expected = {"not_ready": 1} if statuses(answers) == [503, 503] else {}
        assert counts(server) == expected


# --- the log ---


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(
        refusals_module, "log", lambda event, level, **fields: events.append({"event": event, "level": level} | fields)
    )
    return events


def test_many_refusals_of_one_kind_are_one_line_with_the_first_error(events: list[dict[str, Any]]) -> None:
    refusals = Refusals()
    for number in range(1000):
        refusals.add("rest", RequestError(f"error {number}.", 401))
    refusals.add("grpc", RequestError("another.", 401))
    refusals.log()
    refusals.log()
    kind = {"event": "requests refused", "level": "warning", "reason": "unauthorized", "status": 401}
    assert events == [
        kind | {"protocol": "rest", "requests": 1000, "error": "error 0."},
        kind | {"protocol": "grpc", "requests": 1, "error": "another."},
    ]


def test_refusals_from_many_threads_are_all_counted() -> None:
    refusals = Refusals()

    def work() -> None:
        for _ in range(2000):
            refusals.add("rest", RequestError("x.", 503))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refusals.add("grpc", RequestError("x.", 401))
    assert refusals.counts() == {("rest", "overloaded"): 8000, ("grpc", "unauthorized"): 1}
    assert refusals.count_overloads() == 8000
