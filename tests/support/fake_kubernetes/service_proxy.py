"""The address of a Service: a real listener that carries each connection to a container behind it."""

import os
import random
import selectors
import shutil
import socket
import socketserver
import subprocess
import threading
from contextlib import ExitStack, suppress
from typing import Any

Address = tuple[str, int]

_CHUNK = 1 << 16


class ServiceAddress:
    """A cluster IP: an address of 127.77.0.0/16 that no other fake uses, until `close`.

    As root, its ports are not those of this machine: a rule of iptables leads each to a port that the kernel chose, so
    that a program which listens on port 8080 of all addresses is neither in the way nor reached by mistake. Without
    root the Service's own port is bound.
    """

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self.ip = self._reserve()
        self._ports: dict[int, int] = {}

    def __getitem__(self, port: int) -> Address:
        """Return the address to listen on for a port of the Service; nothing listens there yet."""
        if port not in self._ports:
            self._ports[port] = self._redirect(port) if _can_redirect() else port
        return self.ip, self._ports[port]

    def close(self) -> None:
        """Give the address back."""
        self._cleanup.close()

    def _reserve(self) -> str:
        while True:
            ip = f"127.77.{random.randrange(256)}.{random.randrange(1, 255)}"
            lock = socket.socket(socket.AF_UNIX)
            try:
                lock.bind(f"\0kfp-edge-fake-service-{ip}")  # abstract: gone when its process is (unix(7))
            except OSError:
                lock.close()
            else:
                self._cleanup.callback(lock.close)
                return ip

    def _redirect(self, port: int) -> int:
        """Lead connections to a port of the address to one that the kernel chooses, which stays ours."""
        taken = self._cleanup.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the proxy can bind it too and listen
        taken.bind((self.ip, 0))
        chosen = int(taken.getsockname()[1])
        rule = ["--destination", self.ip, "--protocol", "tcp", "--dport", str(port)]
        rule += ["--jump", "DNAT", "--to-destination", f"{self.ip}:{chosen}"]
        _iptables("--insert", rule)
        self._cleanup.callback(_iptables, "--delete", rule)
        return chosen


def _can_redirect() -> bool:
    return os.geteuid() == 0 and shutil.which("iptables") is not None


def _iptables(action: str, rule: list[str]) -> None:
    subprocess.run(["iptables", "--wait", "--table", "nat", action, "OUTPUT", *rule], check=True)


class Proxy:
    """Listens from the start until `close`; `targets` may be replaced at any time and are used in turn."""

    def __init__(self, address: Address, targets: tuple[Address, ...]) -> None:
        self.targets = targets
        self._connections = 0
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
        for connection in list(self._open):
            with suppress(OSError):  # its thread may have closed it
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def _carry(self, client: socket.socket) -> None:
        self._connections += 1
        target = self.targets[self._connections % len(self.targets)]
        with ExitStack() as stack, suppress(OSError):
            server = stack.enter_context(socket.create_connection(target, timeout=5))
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(None)
                self._open.add(connection)
                stack.callback(self._open.discard, connection)
            _forward(client, server)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let the test fail: an error is a defect of the fake."""
        raise  # noqa: PLE0704 - socketserver calls this inside its except clause


def _forward(client: socket.socket, server: socket.socket) -> None:
    """Carry bytes both ways until both sides have closed theirs."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while selector.get_map():
            for ready, _ in selector.select():
                source, sink = ready.fileobj, ready.data
                assert isinstance(source, socket.socket)
                if data := source.recv(_CHUNK):
                    sink.sendall(data)
                else:
                    selector.unregister(source)
                    sink.shutdown(socket.SHUT_WR)
