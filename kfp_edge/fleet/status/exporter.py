"""Serves the metrics of a fleet to Prometheus, and reads the repository again from time to time."""

import threading
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kfp_edge.errors import KfpEdgeError, ParameterError
from kfp_edge.fleet.status.exposition import CONTENT_TYPE


class Exporter:
    """Answers `GET /metrics` with what was read last.

    A repository that cannot be read at the moment changes nothing: the time in `kfp_edge_fleet_read_timestamp_seconds`
    stays, from which the hub sees it.
    """

    def __init__(self, read: Callable[[], str], report: Callable[[str], None]) -> None:
        """Read for the first time.

        Args:
            read: Returns the metrics.
            report: Gets a sentence for each attempt that fails later.

        Raises:
            KfpEdgeError: the first attempt fails.
        """
        self._read = read
        self._report = report
        self._text = read()

    def serve(self, host: str, port: int, every: timedelta, ready: Callable[[str], None]) -> None:
        """Serve until the process is interrupted.

        Args:
            host: The address to listen on.
            port: 0 is any free port.
            every: The time from one reading to the next.
            ready: Gets the address once it is served.

        Raises:
            ParameterError: the address cannot be used.
        """
        try:
            server = _Server((host, port), self._make_handler())
        except (OSError, OverflowError) as error:
            raise ParameterError(
                f"{host}:{port} cannot be served ({getattr(error, 'strerror', None) or error}); choose another address "
                "with --listen."
            ) from error
        stopped = threading.Event()
        reading = threading.Thread(target=self._read_again, args=(every, stopped), daemon=True)
        with server:
            reading.start()
            ready(f"{host}:{server.server_address[1]}")
            try:
                server.serve_forever()
            finally:
                stopped.set()

    def _read_again(self, every: timedelta, stopped: threading.Event) -> None:
        while not stopped.wait(every.total_seconds()):
            try:
                self._text = self._read()
            except KfpEdgeError as error:
                self._report(str(error))

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_known = self.path.partition("?")[0] == "/metrics"
                body = exporter._text.encode() if is_known else b"the metrics are at /metrics\n"
                self.send_response(HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Write nothing: a scrape a minute is no news."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
