"""A span for each inference, sent to an OTLP collector (the extra `otlp`).

OpenTelemetry is imported only if a collector is configured.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kfp_edge_serving import __version__
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.telemetry.access_log import InferenceRecord
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.trace_context import SpanIds, parse_traceparent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer as OtelTracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
#: Spans that wait to be sent; later ones are dropped.
_MAX_QUEUED = 4096
#: Spans of one message; encoding many at once would delay requests.
_BATCH_SIZE = 128
#: Seconds between two messages when there is little to send.
_INTERVAL = 1.0
_CLOSE_TIMEOUT = 2.0


class SpanRecord(NamedTuple):
    """A span that waits to be sent.

    Attributes:
        name: The operation.
        start_ns: Its start, in nanoseconds since 1970.
        end_ns: Its end, likewise.
        ids: Its ids, which the access log names too.
        traceparent: The W3C header: the parent span, and whether its trace is recorded.
        tracestate: The W3C header: what the systems that took part so far have added, such as a sampling decision.
        attributes: The attributes of the span.
        error: Whether the server failed.
    """

    name: str
    start_ns: int
    end_ns: int
    ids: SpanIds
    traceparent: bytes | None
    tracestate: bytes | None
    attributes: Mapping[str, str | int]
    error: bool


@dataclass
class _NextIds:
    """The ids of the next span, which the access log may have named already; used in the thread that sends spans."""

    trace_id: int = 0
    span_id: int = 0


class Tracer:
    """Sends spans from a thread of its own: a collector that does not answer costs spans, never time."""

    def __init__(self, otel_tracer: "OtelTracer", exporter: "SpanExporter", ids: "_NextIds") -> None:
        """`ids` are those of the next span of `otel_tracer`."""
        self._otel_tracer = otel_tracer
        self._ids = ids
        self._exporter = exporter
        self._queue: deque[SpanRecord] = deque()
        self._dropped = 0
        self._is_losing = False
        self._is_closed = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def record_inference(self, inference: InferenceRecord, ids: SpanIds, status: tuple[str, str | int]) -> None:
        """Queue the span of an inference that ended just now; `status` is the attribute with its status."""
        end_ns = time.time_ns()
        start_ns = end_ns - int(inference.seconds * 1e9)
        attributes = {"model": inference.model, "version": inference.version, status[0]: status[1]}
        self.record(
            SpanRecord(
                "infer",
                start_ns,
                end_ns,
                ids,
                inference.traceparent,
                inference.tracestate,
                attributes,
                error=inference.status >= 500,
            )
        )

    def record(self, span: SpanRecord) -> None:
        """Queue one span; called from any thread."""
        if len(self._queue) >= _MAX_QUEUED:
            self._dropped += 1
            return
        self._queue.append(span)
        if len(self._queue) >= _BATCH_SIZE:
            self._wake.set()

    def close(self) -> None:
        """Send the queued spans, for two seconds at most."""
        self._is_closed = True
        self._wake.set()
        self._thread.join(_CLOSE_TIMEOUT)
        self._exporter.shutdown()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(_INTERVAL)
            self._wake.clear()
            is_last = self._is_closed
            while self._queue:
                self._send()
            self._report_loss()

    def _send(self) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        taken = [self._queue.popleft() for _ in range(min(_BATCH_SIZE, len(self._queue)))]
        spans = [span for record in taken if (span := self._make_span(record)) is not None]
        if spans and self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            self._dropped += len(spans)

    def _make_span(self, record: SpanRecord) -> "ReadableSpan | None":
        """Return the span of a record, None if its trace is not recorded."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, StatusCode

        time.sleep(0)  # let a request that waits for the interpreter go first
        parent = _parent_context(record.traceparent, record.tracestate)
        self._ids.trace_id, self._ids.span_id = int(record.ids.trace_id, 16), int(record.ids.span_id, 16)
        span = self._otel_tracer.start_span(
            record.name, parent, SpanKind.SERVER, record.attributes, start_time=record.start_ns
        )
        if record.error:
            span.set_status(StatusCode.ERROR)
        span.end(record.end_ns)
        return span if isinstance(span, ReadableSpan) else None

    def _report_loss(self) -> None:
        """Log when spans begin to be lost, and when they are sent again."""
        dropped, self._dropped = self._dropped, 0
        if dropped and not self._is_losing:
            log("traces lost", "warning", error="the collector does not accept spans, or not as fast as they are made.")
        if self._is_losing and not dropped:
            log("traces sent again")
        self._is_losing = dropped > 0


def create_tracer() -> Tracer | None:
    """Return a tracer that sends spans to the collector that the environment names, None if it names none.

    The other variables of the OpenTelemetry specification apply too: sampler, headers, certificates, resource.

    Raises:
        StartError: a collector is named, and OpenTelemetry is not installed.
    """
    named = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if named is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise StartError(
            f"{named} is set, but OpenTelemetry is not installed; install kfp-edge-serving[otlp] or unset it."
        ) from error
    # the exporter would log each failure; the tracer logs once that spans are lost
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    # a client may send a malformed tracestate with every request
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.CRITICAL)
    default = Resource({"service.name": "kfp-edge-serving", "service.version": __version__})
    ids = _NextIds()
    resource = default.merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=_generator_of(ids))
    return Tracer(provider.get_tracer("kfp_edge_serving", __version__), OTLPSpanExporter(), ids)


def _generator_of(ids: _NextIds) -> "IdGenerator":
    """Return what gives OpenTelemetry these ids; it asks for that of a trace only where the caller has none."""
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class GivenIds(IdGenerator):
        def generate_span_id(self) -> int:
            return ids.span_id

        def generate_trace_id(self) -> int:
            return ids.trace_id

    return GivenIds()


def _parent_context(traceparent: bytes | None, tracestate: bytes | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

    parent = parse_traceparent(traceparent)
    if parent is None:
        return Context()
    caller = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
        trace_state=TraceState.from_header([(tracestate or b"").decode("latin-1")]),
    )
    return set_span_in_context(NonRecordingSpan(caller), Context())
