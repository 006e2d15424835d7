"""The access log: one line for each inference."""

from dataclasses import dataclass

from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.trace_context import SpanIds, parse_traceparent


@dataclass(frozen=True)
class InferenceRecord:
    """One inference that was answered, with its HTTP status code; over gRPC with the one that corresponds."""

    protocol: str
    model: str
    version: str
    status: int
    seconds: float
    error: str | None
    traceparent: bytes | None
    tracestate: bytes | None


def log_inference(record: InferenceRecord, request_id: str | None, span: SpanIds | None) -> None:
    """Log an inference; `request_id` is the id that the client gave its request, `span` None if no span is made."""
    caller = parse_traceparent(record.traceparent)
    trace = span or caller
    log(
        "inference",
        "info" if record.error is None else "warning",
        protocol=record.protocol,
        model=record.model,
        version=record.version,
        status=record.status,
        milliseconds=round(1000 * record.seconds, 3),
        id=request_id,
        trace_id=None if trace is None else trace.trace_id,
        span_id=None if span is None else span.span_id,
        parent_span_id=None if caller is None else caller.span_id,
        error=record.error,
    )
