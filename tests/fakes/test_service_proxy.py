"""The address of a Service in the fake cluster: reached at its own port, whatever else listens on this machine."""

import socket
from collections.abc import Iterator

import pytest

from support.fake_kubernetes.service_proxy import Proxy, ServiceAddress

pytestmark = pytest.mark.root


@pytest.fixture
def address() -> Iterator[ServiceAddress]:
    service = ServiceAddress()
    yield service
    service.close()


@pytest.fixture
def container() -> Iterator[socket.socket]:
    """A server on a free port, which stands for the port of a container."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def other() -> Iterator[socket.socket]:
    """Another program of this machine, which listens on some port of all addresses."""
    with socket.create_server(("", 0)) as server:
        yield server


def test_a_program_on_the_same_port_of_all_addresses_is_not_in_the_way(
    address: ServiceAddress, container: socket.socket, other: socket.socket
) -> None:
    port = other.getsockname()[1]
    proxy = Proxy(address[port], (container.getsockname(),))
    try:
        with socket.create_connection((address.ip, port), timeout=5) as client:
            carried, _ = container.accept()
            with carried:
                client.sendall(b"x")
                assert carried.recv(1) == b"x"
    finally:
        proxy.close()


def test_without_a_ready_container_the_connection_is_refused_and_no_other_program_is_reached(
    address: ServiceAddress, other: socket.socket
) -> None:
    port = other.getsockname()[1]
    assert address[port] == address[port]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.ip, port), timeout=5)
