"""A hub that takes metrics over OTLP/HTTP: a small receiver that records what arrives, and in which order."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, Metric, NumberDataPoint


@dataclass(frozen=True)
class Point:
    """One point of a metric; of a histogram, `value` is the count. A mark that a series has ended has no value."""

    name: str
    attributes: dict[str, str]
    resource: dict[str, str]
    value: float
    nanoseconds: int
    is_recorded: bool


@dataclass
class OtlpHub:
    """The receiver, at an address that stays the same while it is out of reach.

    Attributes:
        certificates: Folder of `write_certificates`; clients have to present a certificate of its CA.
        port: Where it listens.
        answer: The status of the answer to the next request; what is not 200 is not recorded.
        requests: The points of each request that was answered with 200, in the order in which they came.
        sizes: How large each was.
        statuses: What was answered to all.
        trusted: The CA of the clients, by default the one that signed the certificate of the hub.
        latest: When the last point was measured that came from each instance, in nanoseconds.
    """

    certificates: Path
    port: int
    answer: Callable[[], int] = lambda: 200
    requests: list[list[Point]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    trusted: Path | None = None
    latest: dict[str, int] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def points(self, name: str) -> list[Point]:
        """Return the points of a metric in the order in which they came."""
        return [point for request in self.requests for point in request if point.name == name and point.is_recorded]

    def start(self) -> None:
        """Be in reach."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificates / "server.crt", self.certificates / "server.key")
        context.load_verify_locations(self.trusted or self.certificates / "client/ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        server = _Server(("127.0.0.1", self.port), _handler(self))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._server = server

    def stop(self) -> None:
        """Be out of reach: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed is part of the tests."""


def _handler(hub: OtlpHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hub.answer()
            hub.statuses.append(status)
            if status == 200:
                data = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                points = list(_points(ExportMetricsServiceRequest.FromString(data)))
                hub.requests.append(points)
                hub.latest.update({each.resource["service.instance.id"]: each.nanoseconds for each in points})
                hub.sizes.append(len(data))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of the tests."""

    return Handler


def _points(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    for of_resource in request.resource_metrics:
        resource = _texts(of_resource.resource.attributes)
        for scope in of_resource.scope_metrics:
            for metric in scope.metrics:
                for point in _data(metric):
                    value = float(getattr(point, "as_double", 0.0) or getattr(point, "count", 0) or 0)
                    is_recorded = not point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
                    attributes = _texts(point.attributes)
                    yield Point(metric.name, attributes, resource, value, point.time_unix_nano, is_recorded)


def _data(metric: Metric) -> Iterator[NumberDataPoint]:
    kind = metric.WhichOneof("data")
    yield from getattr(metric, kind).data_points if kind else ()


def _texts(attributes: "Iterator[KeyValue]") -> dict[str, str]:
    return {each.key: str(getattr(each.value, each.value.WhichOneof("value") or "string_value")) for each in attributes}
