"""A fleet whose only site is offline."""

from pathlib import Path

import pytest

from support.git_repositories import isolate
from support.offline_sites import OfflineFleet, create_offline_fleet
from support.registry import RegistryServer
from support.registry_proxy import FaultyRegistry


@pytest.fixture
def fleet(tmp_path: Path, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> OfflineFleet:
    isolate(monkeypatch, tmp_path)
    return create_offline_fleet(tmp_path, registry.host)


@pytest.fixture
def faulty_fleet(tmp_path: Path, faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> OfflineFleet:
    """The same with a registry that answers as its `fault` says."""
    isolate(monkeypatch, tmp_path)
    for name, value in faulty.server.env.items():
        monkeypatch.setenv(name, value)
    return create_offline_fleet(tmp_path, faulty.server.host)
