from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.client.runs import observed_run
from kfp_edge.client.server import kfp_api
from support.cluster import pipeline_application, set_environment
from support.fake_kfp import FakeKfp
from support.fake_kfp.store import NAMESPACE
from support.fake_kubernetes import FakeKubernetes
from support.manifests import OPENSHIFT, rendered


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeKfp]:
    """A KFP backend (a fake, over real HTTP)."""
    folder = tmp_path / "server"
    folder.mkdir()
    with FakeKfp(folder) as running:
        yield running


@pytest.fixture
def work_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The current folder, which is not a git checkout."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither polling nor a retry waits."""
    monkeypatch.setattr(observed_run, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(kfp_api, "_FIRST_PAUSE", 0.001)


@pytest.fixture
def cluster(server: FakeKfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """The cluster of the server, with the pods of its runs and the permissions of `deploy/openshift`."""
    roles = [each for each in rendered(OPENSHIFT / "overlays/example") if each["kind"] in ("Role", "RoleBinding")]
    client = f"system:serviceaccount:{NAMESPACE}:kfp-edge-client"
    with FakeKubernetes(tmp_path / "cluster", roles) as running:
        server.store.cluster = running
        server.token = running.token(client)
        running.apply(pipeline_application(server.url, server.url))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.delenv("KFP_EDGE_TOKEN", raising=False)
        set_environment(monkeypatch, running.environ(client, NAMESPACE))
        yield running
        server.store.cluster = None
