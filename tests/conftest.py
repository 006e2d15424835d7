"""Servers that tests of several components share."""

from collections.abc import Iterator

import pytest

from support import registry as registries
from support.registry import RegistryServer
from support.registry_proxy import FaultyRegistry, faulty_registry


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry with a login and TLS of its own CA; tests have repositories or tags of their own."""
    with registries.registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def registry(registry_server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> RegistryServer:
    """The registry, with the environment variables that say how it is reached."""
    for name, value in registry_server.env.items():
        monkeypatch.setenv(name, value)
    return registry_server


@pytest.fixture(scope="session")
def _faulty_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRegistry]:
    with faulty_registry(tmp_path_factory.mktemp("faulty")) as running:
        yield running


@pytest.fixture
def faulty(_faulty_registry: FaultyRegistry) -> Iterator[FaultyRegistry]:
    """A registry that answers as its `fault` says, and that records its requests."""
    _faulty_registry.requests.clear()
    yield _faulty_registry
    _faulty_registry.fault = None
