"""The address of a Service: a real listener that carries each connection to a container behind it."""

import random
import selectors
import socket
import socketserver
import threading
from contextlib import ExitStack, suppress
from typing import Any

Address = tuple[str, int]

_RESERVED_PORT = 65_535
_CHUNK = 1 << 16


def reserve() -> socket.socket:
    """Take an address of 127.77.0.0/16 for as long as the socket is open; other fakes leave it alone."""
    while True:
        taken = socket.socket()
        try:
            taken.bind((f"127.77.{random.randrange(256)}.{random.randrange(1, 255)}", _RESERVED_PORT))
        except OSError:
            taken.close()
        else:
            return taken


class Proxy:
    """Listens from the start until `close`; `targets` may be exchanged at any time and are used in turn."""

    def __init__(self, address: Address, targets: tuple[Address, ...]) -> None:
        self.targets = targets
        self._turn = 0
        self._open: set[socket.socket] = set()
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy._carry(self.request)

        self._server = _Server(address, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._server.shutdown()
        self._thread.join()
        for one in list(self._open):
            with suppress(OSError):  # its thread may have closed it
                one.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def _carry(self, client: socket.socket) -> None:
        self._turn += 1
        target = self.targets[self._turn % len(self.targets)]
        with ExitStack() as stack, suppress(OSError):
            server = stack.enter_context(socket.create_connection(target, timeout=5))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.settimeout(None)
                self._open.add(one)
                stack.callback(self._open.discard, one)
            _pass_on(client, server)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An error is a defect of the fake: let the test fail."""
        raise  # noqa: PLE0704 - socketserver calls this inside its except clause


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides have closed theirs."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            for ready, _ in selector.select():
                source, sink = ready.fileobj, ready.data
                assert isinstance(source, socket.socket)
                if data := source.recv(_CHUNK):
                    sink.sendall(data)
                else:
                    selector.unregister(source)
                    sink.shutdown(socket.SHUT_WR)
