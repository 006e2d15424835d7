"""The short path: what arrives together is computed together, and nobody can tell but by the time it takes."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse
from kfp_edge_serving.http_server.short_path import ShortPath
from kfp_edge_serving.inference import handler
from kfp_edge_serving.inference.handler import InferenceHandler, InferenceProtocol
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ServedModel
from kfp_edge_serving.telemetry import access_log
from kfp_edge_serving.telemetry.metrics import ModelMetrics
from kfp_edge_serving.telemetry.refusals import Refusals
from serving_support.bundles import mixed_bundle, numeric_bundle
from serving_support.not_a_number import quotient_bundle
from serving_support.onnx_models import load
from serving_support.raw_http import Client, exchange, post
from serving_support.server_process import PATIENT, Server, running

INFER = "/v2/models/quotient/infer"


def quotient(number: float, **more: Any) -> bytes:
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [number, 2 * number, 1]}
    return json.dumps({"inputs": [tensor]} | more).encode()


def answer_of(number: float) -> bytes:
    data = b"[%.1f,%.1f,1.0]" % (number, 2 * number)
    head = (
        b'{"model_name":"quotient","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":'
    )
    return head + data + b"}]}"


class FakeConnection:
    """Keeps what happens to its requests."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def hold(self, request: HttpRequest) -> None:
        self.events.append("held")

    def answer(self, request: HttpRequest, body: bytes) -> None:
        self.events.append(body)

    def handle(self, request: HttpRequest) -> None:
        self.events.append("general")


def request(body: bytes) -> HttpRequest:
    one = HttpRequest(has_certificate=False)
    one.method, one.body = b"POST", body
    return one


_PROTOCOL: InferenceProtocol[HttpRequest, HttpResponse] = InferenceProtocol(
    name="rest",
    infer=lambda model, request: HttpResponse(200, b""),
    request_id=lambda request: None,
    traceparent=lambda request: None,
    tracestate=lambda request: None,
    response_status=lambda response: response.status,
    span_status=lambda status: ("", status),
)


class Harness:
    """A short path that knows the frame, with metrics and access log."""

    def __init__(self, model: Model) -> None:
        self.served = ServedModel(model, ModelMetrics())
        self.path = ShortPath(self.served, InferenceHandler(_PROTOCOL, Refusals(), access_log=True))
        assert not self.path.take(request(quotient(0)), FakeConnection(), began=1.0)

    def send(self, body: bytes, *, with_others: bool = False) -> FakeConnection:
        """Send a request, right behind the last one or after everything is quiet."""
        connection = FakeConnection()
        assert self.path.take(request(body), connection, began=0.0 if with_others else time.monotonic() + 1)
        return connection


def on_loop(test: Callable[[Harness], Any], folder: Path) -> Harness:
    """Run a test on an event loop, and one turn of it afterwards."""

    async def run() -> Harness:
        harness = Harness(load(quotient_bundle(folder)))
        test(harness)
        await asyncio.sleep(0)
        return harness

    return asyncio.run(run())


def test_a_single_request_is_answered_at_once(tmp_path: Path) -> None:
    def one(harness: Harness) -> None:
        assert harness.send(quotient(3)).events == [answer_of(3)]

    on_loop(one, tmp_path)


def test_requests_right_behind_another_are_computed_in_one_call_at_the_end_of_the_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    logged: list[str] = []
    monkeypatch.setattr(access_log, "log", lambda event, *_, **__: logged.append(event))
    run_rows = Model.run_rows
    monkeypatch.setattr(Model, "run_rows", lambda model, rows: sizes.append(len(rows)) or run_rows(model, rows))
    connections: list[FakeConnection] = []

    def five(harness: Harness) -> None:
        first = harness.send(quotient(1))
        connections.extend(harness.send(quotient(number), with_others=True) for number in (2, 3, 4, 5))
        assert first.events == [answer_of(1)]
        assert [one.events for one in connections] == [["held"]] * 4

    harness = on_loop(five, tmp_path)
    assert [one.events for one in connections] == [["held", answer_of(number)] for number in (2, 3, 4, 5)]
    assert sizes == [1, 4]
    assert logged == ["inference"] * 5
    assert harness.served.metrics.totals().statuses["rest", 200] == 5
    assert sum(harness.served.model.statistics.features()[0].bins.counts) == 5


def test_more_requests_than_a_batch_holds_do_not_wait_for_the_end_of_the_turn(tmp_path: Path) -> None:
    def many(harness: Harness) -> None:
        harness.send(quotient(1))
        connections = [harness.send(quotient(number), with_others=True) for number in range(18)]
        assert [len(one.events) for one in connections] == [2] * 16 + [1] * 2

    on_loop(many, tmp_path)


def test_a_batch_that_fails_goes_the_general_way_request_by_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_model: Model, _rows: object) -> None:
        raise RequestError("the model cannot compute with these inputs.")

    connections: list[FakeConnection] = []

    def two(harness: Harness) -> None:
        harness.send(quotient(1))
        monkeypatch.setattr(Model, "run_rows", fail)
        connections.extend(harness.send(quotient(number), with_others=True) for number in (2, 3))

    harness = on_loop(two, tmp_path)
    assert [one.events for one in connections] == [["held", "general"]] * 2
    assert harness.served.metrics.totals().statuses["rest", 200] == 1


# --- with a server ---


@pytest.fixture(scope="module")
def quotient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    for bundle in (quotient_bundle, numeric_bundle, mixed_bundle):
        bundle(models)
    with running(models, "--access-log", "on", *PATIENT) as server:
        yield server


def test_every_connection_gets_its_own_answer_when_all_ask_at_once(quotient_server: Server) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(quotient_server.port)) for _ in range(48)]
        for turn in range(20):
            for number, client in enumerate(clients):
                client.send(post(INFER, quotient(turn * 48 + number)))
            answers = [client.answer() for client in clients]
            assert [answer and answer.body for answer in answers] == [answer_of(turn * 48 + k) for k in range(48)]


def test_pipelined_requests_of_one_connection_are_answered_in_order(quotient_server: Server) -> None:
    bodies = [quotient(number) for number in range(40)]
    answers = exchange(quotient_server.port, b"".join(post(INFER, body) for body in bodies))
    assert [answer.body for answer in answers] == [answer_of(number) for number in range(40)]


def test_a_request_that_is_not_one_row_gets_the_error_that_it_gets_without_a_cached_head(
    quotient_server: Server,
) -> None:
    good, bad = quotient(1), quotient(1).replace(b"FP32", b"FP64")
    assert len(good) == len(bad)
    with Client(quotient_server.port) as client:
        for _ in range(3):
            client.send(post(INFER, good))
            assert client.answer().status == 200  # type: ignore[union-attr]
        client.send(post(INFER, bad))
        answer = client.answer()
    assert answer is not None
    assert (answer.status, b"takes datatype FP32" in answer.body) == (400, True)


def test_a_bug_on_the_short_path_is_logged_though_the_general_way_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, str]] = []
    monkeypatch.setattr(handler, "log", lambda event, *_, **fields: logged.append((event, fields["traceback"])))

    def fail(_model: Model, _rows: object) -> None:
        raise ArithmeticError("a bug")

    def one(harness: Harness) -> None:
        monkeypatch.setattr(Model, "run_rows", fail)
        assert harness.send(quotient(3)).events == ["general"]

    on_loop(one, tmp_path)
    [(event, traceback)] = logged
    assert event == "internal error"
    assert "ArithmeticError: a bug" in traceback
