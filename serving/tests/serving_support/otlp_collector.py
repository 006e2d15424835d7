"""A fake OpenTelemetry collector: it takes traces as OTLP over HTTP does, and keeps them."""

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_POLL_SECONDS = 0.02


class FakeCollector:
    """What was sent to a collector that listens on a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []

    @property
    def spans(self) -> list[Span]:
        """All spans so far, in the order in which they came."""
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, count: int, seconds: float = 30) -> list[Span]:
        """Wait for so many spans and return all.

        Raises:
            TimeoutError: they did not come.
        """
        end = time.monotonic() + seconds
        while len(self.spans) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.spans)} of {count} spans came")
            time.sleep(0.01)
        return self.spans

    def resource(self) -> dict[str, Any]:
        """Return the attributes of who sent the first spans."""
        return attributes(self.requests[0].resource_spans[0].resource)


def attributes(holder: Any) -> dict[str, Any]:
    """Return the attributes of a span or resource."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}


@contextmanager
def collecting(port: int = 0) -> Iterator[FakeCollector]:
    """Run a fake collector until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.paths.append(self.path)
            collector.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        collector = FakeCollector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
