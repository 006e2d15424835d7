from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.kubernetes import Cluster
from support.fake_kubernetes import FakeKubernetes


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """A cluster with the namespaces ds-project and edge-staging, which this process reaches as a laptop does."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with FakeKubernetes(tmp_path) as running:
        for name, value in running.environ(namespace="ds-project").items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def cluster(fake: FakeKubernetes) -> Cluster:
    return Cluster.connect()
