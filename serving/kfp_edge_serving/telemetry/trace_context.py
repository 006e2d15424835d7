"""The W3C Trace Context of a caller."""

import os
import re
from typing import NamedTuple

# "Trace Context" (W3C), "traceparent Header": version, trace-id, parent-id, trace-flags, and what later versions add
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ZEROS = re.compile(rb"0+")


class TraceParent(NamedTuple):
    """The fields of a traceparent header; ids in hexadecimal."""

    trace_id: str
    span_id: str
    flags: int


def parse_traceparent(header: bytes | None) -> TraceParent | None:
    """Return the fields of the header, None if it is missing or not valid."""
    match = _TRACEPARENT.fullmatch(header or b"")
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more) or _ZEROS.fullmatch(trace_id) or _ZEROS.fullmatch(span_id):
        return None
    return TraceParent(trace_id.decode(), span_id.decode(), int(flags, 16))


class SpanIds(NamedTuple):
    """The ids of the span of an inference, in hexadecimal; `parent_span_id` is that of the caller, if it has one."""

    trace_id: str
    span_id: str
    parent_span_id: str | None


def draw_ids(traceparent: bytes | None) -> SpanIds:
    """Return the ids of a new span, in the trace of its caller if there is one."""
    span_id = os.urandom(8).hex()
    parent = parse_traceparent(traceparent)
    if parent is None:
        return SpanIds(os.urandom(16).hex(), span_id, None)
    return SpanIds(parent.trace_id, span_id, parent.span_id)
