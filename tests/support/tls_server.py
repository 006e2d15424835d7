"""A real web server with TLS, whose certificate is signed by a CA of the test's own."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kfp_edge.observability.demo.certificates import write_certificates


@dataclass(frozen=True)
class TlsServer:
    """Where the server listens, and the file with the CA that a client has to trust."""

    url: str
    ca_file: Path


@contextmanager
def tls_server(folder: Path, handler: type[BaseHTTPRequestHandler]) -> Iterator[TlsServer]:
    """Run the server on a free port; its certificates go to `folder`."""
    write_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield TlsServer(f"https://127.0.0.1:{server.server_port}", folder / "client" / "ca.crt")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
