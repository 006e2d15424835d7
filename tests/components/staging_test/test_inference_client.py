"""How the client of the staging test uses connections."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kfp_edge.components.staging_test.inference_client import InferenceClient


@contextmanager
def server() -> Iterator[tuple[str, list[int]]]:
    """A server that keeps connections; yields its URL and, for each request, the port of the client."""
    ports: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            ports.append(self.client_address[1])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", ports
        finally:
            running.shutdown()
            thread.join()


@pytest.mark.parametrize(("method", "connections"), [("ask_health", 3), ("get", 1)])
def test_readiness_is_asked_for_over_new_connections_and_the_tests_keep_one(method: str, connections: int) -> None:
    """A connection that is kept while pods come and go may lead to where the Service no longer does."""
    with server() as (url, ports), InferenceClient(url, "pump", "1") as client:
        for _ in range(3):
            assert getattr(client, method)("/v2/health/ready").status == 200
    assert len(set(ports)) == connections
