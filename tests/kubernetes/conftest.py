from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.kubernetes import Cluster, api
from support.cluster import RUNNER
from support.fake_kubernetes import FakeKubernetes


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with FakeKubernetes(tmp_path) as running:
        yield running


@pytest.fixture
def cluster(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, as a laptop with a kubeconfig reaches it."""
    for name, value in fake.environ(RUNNER, "ds-project").items():
        monkeypatch.setenv(name, value)
    return Cluster.connect()


@pytest.fixture
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr(api, "_FIRST_DELAY", 0.001)
