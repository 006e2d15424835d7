"""A proxy before a real registry that answers some requests itself, as a registry with a fault does."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.registry import PASSWORD, RegistryServer, registry_server, write_auth_file

#: The status to answer with in place of the registry, by method and path; None lets the registry answer.
Fault = Callable[[str, str], int | None]


#: How long the registry behind the proxy may take.
_SECONDS = 60


@dataclass
class FaultyRegistry:
    """A registry whose `fault` can be set; `requests` are the method and path of all that came."""

    server: RegistryServer
    fault: Fault | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def faulty_registry(folder: Path) -> Iterator[FaultyRegistry]:
    """Run a registry with a login behind a proxy with TLS."""
    with registry_server(folder, tls=False) as behind:
        certificates = folder / "certificates"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True, do_handshake_on_connect=False)
        host = f"127.0.0.1:{proxy.server_port}"
        write_auth_file(folder / "proxy-auth.json", host, PASSWORD)
        faulty = FaultyRegistry(RegistryServer(host, folder / "proxy-auth.json", behind.cert_dir))
        proxy.behind, proxy.faulty = behind.host, faulty  # type: ignore[attr-defined]
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield faulty
        finally:
            proxy.shutdown()
            thread.join()
            proxy.server_close()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self._body()
        faulty: FaultyRegistry = self.server.faulty  # type: ignore[attr-defined]
        faulty.requests.append((self.command, self.path))
        status = faulty.fault(self.command, self.path) if faulty.fault else None
        if status is not None:
            self._answer(status, {"Content-Type": "application/json"}, b'{"errors": []}')
            return
        upstream = http.client.HTTPConnection(self.server.behind, timeout=_SECONDS)  # type: ignore[attr-defined]
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for key, value in self.headers.items():  # of Accept there are several
            if key.lower() not in ("transfer-encoding", "content-length"):
                upstream.putheader(key, value)
        upstream.putheader("X-Forwarded-Proto", "https")
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        self._answer(answer.status, dict(answer.getheaders()), answer.read())
        upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        for key, value in headers.items():
            if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(key, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass
