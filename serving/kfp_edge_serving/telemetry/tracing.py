"""W3C Trace Context, and a span for each inference to an OTLP collector (the extra `otlp`).

OpenTelemetry is imported only where a collector is configured.
"""

import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from kfp_edge_serving import __version__
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.telemetry.log import log

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer as SpanMaker

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
#: Spans that wait to be sent; later ones are dropped.
_WAITING = 4096
#: Spans of one message; many at once would hold up requests while they are encoded.
_BATCH = 128
#: Seconds between two messages when there is little to send.
_SECONDS = 1.0
_CLOSING_SECONDS = 2.0

# "Trace Context" (W3C), "traceparent Header": version, trace-id, parent-id, trace-flags, and what later versions add
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ZEROS = re.compile(rb"0+")


class _Record(NamedTuple):
    name: str
    start: int
    end: int
    traceparent: bytes | None
    attributes: Mapping[str, str | int]
    error: bool


class Tracer:
    """Sends spans from a thread of its own: a collector that is away costs spans, never time."""

    def __init__(self, maker: "SpanMaker", exporter: "SpanExporter") -> None:
        self._maker = maker
        self._exporter = exporter
        self._records: deque[_Record] = deque()
        self._dropped = 0
        self._is_losing = False
        self._is_closed = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def record(
        self,
        name: str,
        start_ns: int,
        end_ns: int,
        traceparent: bytes | None,
        attributes: Mapping[str, str | int],
        error: bool,
    ) -> None:
        """Take one span, from any thread.

        Args:
            name: What was done.
            start_ns: When it began, in nanoseconds since 1970.
            end_ns: When it ended, likewise.
            traceparent: The header of that name: the parent, which also says whether its trace is recorded.
            attributes: What else there is to say.
            error: Whether the server failed.
        """
        if len(self._records) >= _WAITING:
            self._dropped += 1
            return
        self._records.append(_Record(name, start_ns, end_ns, traceparent, attributes, error))
        if len(self._records) >= _BATCH:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, for two seconds at most."""
        self._is_closed = True
        self._wake.set()
        self._thread.join(_CLOSING_SECONDS)
        self._exporter.shutdown()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(_SECONDS)
            self._wake.clear()
            is_last = self._is_closed
            while self._records:
                self._send()
            self._tell()

    def _send(self) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        taken = [self._records.popleft() for _ in range(min(_BATCH, len(self._records)))]
        spans = [span for record in taken if (span := self._span(record)) is not None]
        if spans and self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            self._dropped += len(spans)

    def _span(self, record: _Record) -> "ReadableSpan | None":
        """Return the span of a record, None where its trace is not recorded."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, StatusCode

        time.sleep(0)  # lets a request that waits for the interpreter go first
        span = self._maker.start_span(
            record.name, _parent(record.traceparent), SpanKind.SERVER, record.attributes, start_time=record.start
        )
        if record.error:
            span.set_status(StatusCode.ERROR)
        span.end(record.end)
        return span if isinstance(span, ReadableSpan) else None

    def _tell(self) -> None:
        """Log when spans begin to be lost, and when that is over."""
        dropped, self._dropped = self._dropped, 0
        if dropped and not self._is_losing:
            log("traces lost", "warning", error="the collector does not take the spans, or not as fast as they come.")
        if self._is_losing and not dropped:
            log("traces sent again")
        self._is_losing = dropped > 0


def tracer() -> Tracer | None:
    """Return what sends spans to the collector that the environment names, None where it names none.

    The other variables of the OpenTelemetry specification hold too: the sampler, headers, certificates, resource.

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
    # each failure would be a line; the tracer says once what they mean
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    default = Resource({"service.name": "kfp-edge-serving", "service.version": __version__})
    provider = TracerProvider(resource=default.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    return Tracer(provider.get_tracer("kfp_edge_serving", __version__), OTLPSpanExporter())


def trace_ids(traceparent: bytes | None) -> tuple[str, str] | None:
    """Return the ids of the trace and of the caller's span, None where the header is missing or not valid."""
    fields = _fields(traceparent)
    return None if fields is None else fields[:2]


def _fields(traceparent: bytes | None) -> tuple[str, str, int] | None:
    match = _TRACEPARENT.fullmatch(traceparent or b"")
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more) or _ZEROS.fullmatch(trace) or _ZEROS.fullmatch(span):
        return None
    return trace.decode(), span.decode(), int(flags, 16)


def _parent(traceparent: bytes | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    fields = _fields(traceparent)
    if fields is None:
        return Context()
    trace, span, flags = fields
    caller = SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(caller), Context())
