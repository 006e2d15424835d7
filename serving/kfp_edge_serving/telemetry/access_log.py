"""What the server tells of an inference: a span for its trace, and a line of the log."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.tracing import Tracer, trace_ids

if TYPE_CHECKING:
    from kfp_edge_serving.models.repository import ServedModel


@dataclass(frozen=True)
class Inference:
    """One that was answered: its HTTP status or what would be it, and the attribute of its span that says the same."""

    protocol: str
    status: int
    seconds: float
    error: str | None
    traceparent: bytes | None
    attribute: tuple[str, str | int]


class AccessLog:
    """Tells of every inference if it is asked to, else of errors only."""

    def __init__(self, tracer: Tracer | None, access_log: bool) -> None:
        self._tracer = tracer
        self._access_log = access_log
        #: Whether there is anything to tell of an inference without an error.
        self.tells_all = access_log or tracer is not None

    def tell(self, served: "ServedModel", inference: Inference, identity: str | None) -> None:
        """Send the span and write the line; `identity` is the id that the client gave its request."""
        if self._tracer is not None:
            self._record(self._tracer, served, inference)
        error = inference.error
        if error is None and not self._access_log:
            return
        trace, span = trace_ids(inference.traceparent) or (None, None)
        log(
            "inference",
            "info" if error is None else "warning",
            protocol=inference.protocol,
            model=served.name,
            version=served.version,
            status=inference.status,
            milliseconds=round(1000 * inference.seconds, 3),
            id=identity,
            trace_id=trace,
            span_id=span,
            error=error,
        )

    def _record(self, tracer: Tracer, served: "ServedModel", inference: Inference) -> None:
        end = time.time_ns()
        name, value = inference.attribute
        attributes: dict[str, str | int] = {"model": served.name, "version": served.version, name: value}
        start = end - int(inference.seconds * 1e9)
        tracer.record("infer", start, end, inference.traceparent, attributes, error=inference.status >= 500)
