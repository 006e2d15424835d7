"""W3C Trace Context, and the spans that a collector receives."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tritonclient.grpc.service_pb2 import ModelInferRequest

from kfp_edge_serving.telemetry.trace_context import draw_ids, parse_traceparent
from kfp_edge_serving.telemetry.tracing import SpanRecord, create_tracer
from serving_support.bundles import PUMP_ROW
from serving_support.grpc_calls import grpc_port, pump, refused, stub_to
from serving_support.otlp_collector import FakeCollector, attributes, collecting
from serving_support.raw_http import exchange, post
from serving_support.server_process import Server, running

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
NOT_SAMPLED = f"00-{TRACE}-{SPAN}-00"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def ids_in(header: bytes | None) -> tuple[str, str] | None:
    parent = parse_traceparent(header)
    return None if parent is None else (parent.trace_id, parent.span_id)


def infer(server: Server, traceparent: str | None = None) -> None:
    headers = {} if traceparent is None else {"traceparent": traceparent}
    with urlopen(
        Request(f"http://127.0.0.1:{server.port}/v2/models/pump/infer", PUMP_ROW, headers), timeout=30
    ) as answer:
        answer.read()


# The header


@pytest.mark.parametrize(
    "header",
    [
        SAMPLED,
        NOT_SAMPLED,
        f"00-{TRACE}-{SPAN}-ff",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-a-later-version-adds",
    ],
)
def test_a_valid_traceparent_gives_both_ids(header: str) -> None:
    assert ids_in(header.encode()) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_any_other_traceparent_gives_none(header: str | None) -> None:
    assert ids_in(None if header is None else header.encode()) is None


@given(st.binary(max_size=80))
def test_a_traceparent_of_any_bytes_gives_ids_or_none(header: bytes) -> None:
    ids = ids_in(header)
    assert ids is None or (len(ids[0]), len(ids[1])) == (32, 16)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255), st.integers(0, 254))
def test_every_traceparent_of_the_specification_is_taken(trace: int, span: int, flags: int, version: int) -> None:
    header = f"{version:02x}-{trace:032x}-{span:016x}-{flags:02x}"
    assert ids_in(header.encode()) == (f"{trace:032x}", f"{span:016x}")


# What a collector receives

#: Another trace, which its caller does not record.
OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c"
#: Callers of inferences, whose answers are spans: traceparent over REST, or over gRPC, or none.
REST_CALLS = [SAMPLED, None, f"00-{'0' * 32}-{SPAN}-01", f"00-{OTHER_TRACE}-{SPAN}-00"]


@pytest.fixture(scope="module")
def collector(pump_models: Path) -> Iterator[FakeCollector]:
    """Return a collector with the spans of a server, which has ended.

    The server has answered `REST_CALLS`, then a call over gRPC, and has refused another one.
    """
    named = {"OTEL_SERVICE_NAME": "press-17", "OTEL_RESOURCE_ATTRIBUTES": "site=graz,ring=canary"}
    with collecting() as collector:
        with running(pump_models, "--grpc-port", "0", **named, **{ENDPOINT: collector.endpoint}) as server:
            for traceparent in REST_CALLS:
                infer(server, traceparent)
            with stub_to(grpc_port(server)) as stub:
                stub.ModelInfer(pump(), metadata=[("traceparent", SAMPLED)])
                refused(lambda: stub.ModelInfer(ModelInferRequest(model_name="pump")))
            assert server.stop() == 0
        yield collector


def test_an_inference_is_a_span_of_its_callers_trace(collector: FakeCollector) -> None:
    span = collector.spans[0]
    assert set(collector.paths) == {"/v1/traces"}
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (TRACE, SPAN, Span.SPAN_KIND_SERVER)
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert attributes(span) | {"model": "pump", "version": "1", "http.response.status_code": 200} == attributes(span)
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_without_a_valid_caller_it_is_a_trace_of_its_own(collector: FakeCollector) -> None:
    spans = collector.spans[1:3]
    assert [span.parent_span_id for span in spans] == [b"", b""]
    assert len({span.trace_id for span in spans} | {bytes.fromhex(TRACE)}) == 3


def test_a_trace_that_its_caller_does_not_record_is_not_recorded(collector: FakeCollector) -> None:
    assert OTHER_TRACE not in {span.trace_id.hex() for span in collector.spans}
    assert len(collector.spans) == len(REST_CALLS) - 1 + 2


def test_a_call_over_grpc_is_a_span_too(collector: FakeCollector) -> None:
    answered, failed = collector.spans[3:]
    assert (answered.trace_id.hex(), answered.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes(answered) == {"model": "pump", "version": "1", "rpc.response.status_code": "OK"}
    assert attributes(failed)["rpc.response.status_code"] == "INVALID_ARGUMENT"


def test_the_environment_names_the_server_and_its_site(collector: FakeCollector) -> None:
    resource = collector.resource()
    assert (resource["service.name"], resource["site"], resource["ring"]) == ("press-17", "graz", "canary")
    assert resource["service.version"]


def test_the_access_log_names_the_spans_that_are_sent(pump_models: Path) -> None:
    with collecting() as collector:
        with running(pump_models, "--access-log", "on", **{ENDPOINT: collector.endpoint}) as server:
            for traceparent in (SAMPLED, None):
                infer(server, traceparent)
            events = [server.event("inference") for _ in range(2)]
            assert server.stop() == 0
        logged = [(event["trace_id"], event["span_id"], event.get("parent_span_id", "")) for event in events]
        sent = [(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) for span in collector.spans]
    assert logged == sent


def span(start: int, error: bool = False) -> SpanRecord:
    return SpanRecord("infer", start, start + 1, draw_ids(None), None, None, {"model": "pump"}, error)


#: What vendors have added to a trace, in one header or in several; an invalid one is dropped as a whole (W3C).
TRACE_STATES = [
    (["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    (["rojo=1", "congo=2"], "rojo=1,congo=2"),
    (["rojo 1"], ""),
    ([], ""),
]


@pytest.mark.parametrize(("headers", "expected"), TRACE_STATES)
def test_the_trace_state_of_a_caller_is_kept_over_rest(pump_models: Path, headers: list[str], expected: str) -> None:
    lines = [f"traceparent: {SAMPLED}", *(f"tracestate: {header}" for header in headers)]
    with collecting() as collector:
        with running(pump_models, **{ENDPOINT: collector.endpoint}) as server:
            exchange(server.port, post("/v2/models/pump/infer", PUMP_ROW, *lines))
            assert server.stop() == 0
            assert "opentelemetry" not in server.process.communicate()[0]
        assert [sent.trace_state for sent in collector.spans] == [expected]


def test_the_trace_state_of_a_caller_is_kept_over_grpc(pump_models: Path) -> None:
    metadata = [("traceparent", SAMPLED), ("tracestate", "rojo=1")]
    with collecting() as collector:
        with running(pump_models, "--grpc-port", "0", **{ENDPOINT: collector.endpoint}) as server:
            with stub_to(grpc_port(server)) as stub:
                stub.ModelInfer(pump(), metadata=metadata)
            assert server.stop() == 0
        assert [sent.trace_state for sent in collector.spans] == ["rojo=1"]


def test_two_traceparents_are_none(pump_models: Path) -> None:
    lines = [f"traceparent: {SAMPLED}", f"traceparent: {NOT_SAMPLED}"]
    with collecting() as collector:
        with running(pump_models, **{ENDPOINT: collector.endpoint}) as server:
            exchange(server.port, post("/v2/models/pump/infer", PUMP_ROW, *lines))
            assert server.stop() == 0
        assert [sent.parent_span_id for sent in collector.spans] == [b""]


def test_the_sampler_of_the_environment_is_used_and_the_server_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for sampler, spans in (("always_off", 0), ("always_on", 1)):
        with collecting() as collector:
            monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
            monkeypatch.setenv(ENDPOINT, collector.endpoint)
            tracer = create_tracer()
            assert tracer is not None
            tracer.record(span(1))
            tracer.close()
        assert len(collector.spans) == spans
    assert collector.resource()["service.name"] == "kfp-edge-serving"


def test_an_end_sends_the_last_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv(ENDPOINT, collector.endpoint)
        tracer = create_tracer()
        assert tracer is not None
        for number in range(300):
            tracer.record(span(number + 1))
        tracer.close()
    assert sorted(span.start_time_unix_nano for span in collector.spans) == list(range(1, 301))


def test_an_error_of_the_server_is_an_error_of_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.endpoint}/v1/traces")
        made = create_tracer()
        assert made is not None
        made.record(span(1, error=True))
        made.close()
    [sent] = collector.spans
    assert (sent.name, sent.start_time_unix_nano, sent.end_time_unix_nano) == ("infer", 1, 2)
    assert sent.status.code == Status.STATUS_CODE_ERROR


@pytest.mark.slow
def test_a_collector_that_does_not_answer_costs_spans_and_nothing_else(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = {ENDPOINT: f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with running(models, **away) as server:
        infer(server)
        assert server.event("traces lost")["level"] == "warning"
        infer(server)
        with collecting(port) as collector:
            infer(server)
            collector.wait_for(1)
            server.event("traces sent again")
            assert server.stop() == 0


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    program = (
        "import sys; from kfp_edge_serving.telemetry.tracing import create_tracer; assert create_tracer() is None;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("variable", [ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_a_collector_without_opentelemetry_is_a_start_error(models: Path, variable: str) -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None;"
        f"sys.argv[1:] = ['--models', {str(models)!r}, '--host', '127.0.0.1', '--port', '0', '--grpc-port', 'off'];"
        "from kfp_edge_serving.__main__ import main; sys.exit(main())"
    )
    environment: dict[str, Any] = {**os.environ, variable: "http://localhost:4318"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout.splitlines()[-1])["error"] == (
        f"{variable} is set, but OpenTelemetry is not installed; install kfp-edge-serving[otlp] or unset it."
    )
