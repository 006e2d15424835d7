"""Where the server listens: one address or all, of either version of IP, by number or by name."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_edge_serving.http_server import sockets
from kfp_edge_serving.settings import parse
from serving_support.bundles import PUMP_ROW
from serving_support.grpc_calls import pump, stub_to
from serving_support.server_process import Server, running, start


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def ask(host: str, port: int) -> int:
    """Return the status of an inference at an address."""
    head = f"POST /v2/models/pump/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(PUMP_ROW)}\r\n\r\n"
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(head.encode() + PUMP_ROW)
        return int(connection.recv(1 << 16)[9:12])


def health(port: int, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kfp_edge_serving", "health", "--port", str(port), *options]
    variables = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=60)


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]"])
def test_all_addresses_are_those_of_both_versions_of_ip_for_rest_and_grpc(pump_models: Path, host: str) -> None:
    with running(pump_models, "--host", host, "--grpc-port", "0") as server:
        assert [ask(address, server.port) for address in ("127.0.0.1", "::1")] == [200, 200]
        for address in ("127.0.0.1", "[::1]"):
            with stub_to(server.grpc_port or 0, address) as stub:
                assert stub.ModelInfer(pump()).model_name == "pump"
        assert health(server.port, KFP_EDGE_HOST=host).returncode == 0


@needs_ipv6
def test_one_address_of_ipv6_is_only_that_one(pump_models: Path) -> None:
    with running(pump_models, "--host", "::1") as server:
        assert ask("::1", server.port) == 200
        with pytest.raises(ConnectionRefusedError):
            ask("127.0.0.1", server.port)
        assert health(server.port, KFP_EDGE_HOST="::1").returncode == 0
        assert health(server.port, "--host", "[::1]").returncode == 0
        # without an address it asks at both
        assert health(server.port).returncode == 0


def test_the_health_check_explains_the_variable_of_a_service_as_the_server_does() -> None:
    command = [sys.executable, "-m", "kfp_edge_serving", "health"]
    variables = os.environ | {"KFP_EDGE_PORT": "tcp://10.0.0.7:8080"}
    checked = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=60)
    assert checked.returncode == 2
    assert "error: KFP_EDGE_PORT is 'tcp://10.0.0.7:8080', not a port" in checked.stderr
    assert "enableServiceLinks: false" in checked.stderr


@needs_ipv6
def test_a_name_is_all_of_its_addresses_at_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    infos: list[Any] = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        # TEST-NET, which no host has
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: infos)
    opened = sockets.listen("press-7", 0)
    try:
        names = [listening.getsockname()[:2] for listening in opened]
    finally:
        for listening in opened:
            listening.close()
    port = names[0][1]
    assert names == [("127.0.0.1", port), ("::1", port)]


def test_a_name_of_this_host_is_listened_on(pump_models: Path) -> None:
    with running(pump_models, "--host", "localhost") as server:
        assert ask("localhost", server.port) == 200
        assert health(server.port, "--host", "localhost").returncode == 0


def refusal(models: Path, host: str, *options: str) -> str:
    process = start(models, "--host", host, *options)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, "")
    return str(json.loads(stdout.splitlines()[-1])["error"])


def test_a_name_that_cannot_be_resolved_is_refused_with_the_reason(pump_models: Path) -> None:
    message = refusal(pump_models, "press.invalid")
    assert message.startswith("cannot listen on press.invalid port 0: ")
    assert message.endswith((" not known.", " name resolution."))


def test_what_is_no_name_is_refused(pump_models: Path) -> None:
    assert refusal(pump_models, "a" * 70).endswith(("this is not the name of a host.", " not known."))


def test_an_address_of_another_host_is_refused(pump_models: Path) -> None:
    # TEST-NET, which no host has
    assert refusal(pump_models, "192.0.2.1") == "cannot listen on 192.0.2.1 port 0: Cannot assign requested address."


@needs_ipv6
def test_a_port_in_use_at_one_of_the_addresses_is_refused(pump_models: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        message = refusal(pump_models, "::", "--port", str(port))
    assert message == f"cannot listen on :: port {port}: Address already in use."


def test_the_health_command_says_where_it_asked(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = health(port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"no answer on port {port} of 127.0.0.1: ")
    assert "; ::1: " in done.stderr
    assert health(server.port).returncode == 0


def test_the_health_command_fails_while_the_server_is_not_ready(pump_models: Path) -> None:
    with running(pump_models, "--shutdown-delay", "600") as server:
        server.process.terminate()
        server.event("draining")
        done = health(server.port)
    message = f"the server on port {server.port} is not ready: it answers 503\n"
    assert (done.returncode, done.stderr) == (1, message)


@pytest.mark.parametrize(("text", "host"), [("[::1]", "::1"), ("::1", "::1"), ("edge-7", "edge-7")])
def test_an_address_may_be_in_the_brackets_of_a_url(text: str, host: str) -> None:
    assert parse(["--host", text]).host == host
