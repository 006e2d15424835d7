"""The W3C Trace Context of a caller."""

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


def trace_ids(header: bytes | None) -> tuple[str, str] | None:
    """Return the ids of the trace and of the caller's span, None if the header is missing or not valid."""
    parent = parse_traceparent(header)
    return None if parent is None else (parent.trace_id, parent.span_id)
