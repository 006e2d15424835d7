"""What happens with every inference, whichever protocol it came by: it is answered, counted, logged and traced."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.inference import handler as handler_module
from kfp_edge_serving.inference.handler import InferenceHandler, InferenceProtocol
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ServedModel
from kfp_edge_serving.telemetry import access_log as access_log_module
from kfp_edge_serving.telemetry.access_log import InferenceRecord
from kfp_edge_serving.telemetry.metrics import ModelMetrics
from kfp_edge_serving.telemetry.refusals import Refusals
from kfp_edge_serving.telemetry.trace_context import SpanIds
from serving_support.bundles import numeric_bundle
from serving_support.onnx_models import load

TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class FakeTracer:
    """Keeps the records of spans."""

    def __init__(self) -> None:
        self.spans: list[tuple[InferenceRecord, tuple[str, str | int]]] = []

    def record_inference(self, inference: InferenceRecord, _ids: SpanIds, status: tuple[str, str | int]) -> None:
        self.spans.append((inference, status))


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    return ServedModel(load(numeric_bundle(tmp_path)), ModelMetrics())


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the log."""
    events: list[dict[str, Any]] = []

    def log(event: str, level: str = "info", **fields: Any) -> None:
        events.append({"event": event, "level": level} | fields)

    monkeypatch.setattr(access_log_module, "log", log)
    monkeypatch.setattr(handler_module, "log", log)
    return events


def infer(_model: Model, request: str) -> str:
    """Answer a request with itself, unless it is `bad` or `bug`."""
    if request == "bad":
        raise RequestError("input 'X' is missing.", 400)
    if request == "bug":
        raise ZeroDivisionError("a detail of the server")
    return request


PROTOCOL: InferenceProtocol[str, str] = InferenceProtocol(
    name="rest",
    infer=infer,
    request_id=lambda request: f"id of {request}",
    traceparent=lambda _: TRACEPARENT,
    tracestate=lambda _: b"site=hall-7",
    response_status=lambda _: 200,
    span_status=lambda status: ("status", status),
)


def statuses(served: ServedModel) -> dict[tuple[str, int], int]:
    return {key: count for key, count in served.metrics.totals().statuses.items() if count}


def test_an_answer_is_returned_and_counted_and_not_logged(served: ServedModel, events: list[Any]) -> None:
    assert InferenceHandler(PROTOCOL, Refusals()).handle(served, "good", 0.0) == "good"
    assert statuses(served) == {("rest", 200): 1}
    assert events == []


def test_with_an_access_log_an_answer_is_logged(served: ServedModel, events: list[Any]) -> None:
    InferenceHandler(PROTOCOL, Refusals(), access_log=True).handle(served, "good", 0.0)
    [event] = events
    logged = {"level": "info", "protocol": "rest", "model": "pump", "version": "1", "status": 200, "id": "id of good"}
    assert event.items() >= logged.items()
    assert (event["trace_id"], event["parent_span_id"]) == (TRACEPARENT[3:35].decode(), TRACEPARENT[36:52].decode())
    assert event["span_id"] is None  # without a tracer the inference is no span


def test_a_refusal_is_counted_and_logged_with_its_reason(served: ServedModel, events: list[Any]) -> None:
    with pytest.raises(RequestError, match=r"^input 'X' is missing\.$"):
        InferenceHandler(PROTOCOL, Refusals()).handle(served, "bad", 0.0)
    assert statuses(served) == {("rest", 400): 1}
    assert [(event["level"], event["status"], event["error"]) for event in events] == [
        ("warning", 400, "input 'X' is missing.")
    ]


def test_a_bug_is_an_internal_error_whose_details_only_the_log_has(served: ServedModel, events: list[Any]) -> None:
    with pytest.raises(RequestError) as raised:
        InferenceHandler(PROTOCOL, Refusals()).handle(served, "bug", 0.0)
    assert (str(raised.value), raised.value.status) == ("internal server error; see the log of the server.", 500)
    assert statuses(served) == {("rest", 500): 1}
    assert [event["event"] for event in events] == ["internal error", "inference"]
    assert "ZeroDivisionError: a detail of the server" in events[0]["traceback"]
    assert events[1]["error"] == str(raised.value)


def test_overload_is_counted_and_not_logged_one_by_one(served: ServedModel, events: list[Any]) -> None:
    refusals = Refusals()
    handler = InferenceHandler(PROTOCOL, refusals, access_log=True)
    assert handler.refuse_overload(served).status == 503
    assert (refusals.counts(), statuses(served)) == ({("rest", "overloaded"): 1}, {("rest", 503): 1})
    assert events == []


@pytest.mark.parametrize(("request_", "status"), [("good", 200), ("bad", 400), ("bug", 500)])
@pytest.mark.usefixtures("events")
def test_with_a_tracer_every_inference_is_a_span(served: ServedModel, request_: str, status: int) -> None:
    tracer = FakeTracer()
    handler = InferenceHandler(PROTOCOL, Refusals(), tracer)  # type: ignore[arg-type]
    with suppress(RequestError):
        handler.handle(served, request_, 0.0)
    [(record, span_status)] = tracer.spans
    assert (record.status, record.traceparent, span_status) == (status, TRACEPARENT, ("status", status))
