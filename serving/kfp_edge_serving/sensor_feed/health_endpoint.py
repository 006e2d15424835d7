"""The small port of the feed: whether it lives, whether it is ready and why not, and its metrics."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from kfp_edge_serving.sensor_feed.metrics import CONTENT_TYPE

_JSON = "application/json"
#: Seconds for a client to send its request.
_TIMEOUT = 5.0


@dataclass(frozen=True)
class HealthReport:
    """Where the answers come from: whether all threads run, what is wrong, and the metrics."""

    is_alive: Callable[[], bool]
    list_problems: Callable[[], list[str]]
    expose: Callable[[], bytes]


class HealthEndpoint:
    """Answers `GET /live`, `/ready` and `/metrics` in threads of its own."""

    def __init__(self, host: str, port: int, report: HealthReport) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        self._server = _Server((host, port), _create_handler(report))
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port, also where any free one was asked for."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, *_: object) -> None:
        """A client that goes away before it has its answer is no news."""


def _create_handler(report: HealthReport) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT

        def do_GET(self) -> None:
            status, kind, content = _answer(report, self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Probes and scrapes are no news."""

    return Handler


def _answer(report: HealthReport, path: str) -> tuple[int, str, bytes]:
    if path == "/live":
        is_alive = report.is_alive()
        return 200 if is_alive else 503, _JSON, orjson.dumps({"live": is_alive})
    if path == "/ready":
        problems = report.list_problems()
        return 503 if problems else 200, _JSON, orjson.dumps({"ready": not problems, "problems": problems})
    if path == "/metrics":
        return 200, CONTENT_TYPE, report.expose()
    return 404, _JSON, orjson.dumps({"error": "there are /live, /ready and /metrics."})
