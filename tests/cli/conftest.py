from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.client.runs import observed_run
from support.clients import set_results, write_small
from support.fake_kfp import FakeKfp


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKfp]:
    """A KFP backend, with its token in the environment and the small pipeline in the current folder."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(observed_run, "POLL_SECONDS", 0.0)
    write_small(tmp_path)
    with FakeKfp(folder) as running:
        monkeypatch.setenv("KFP_EDGE_TOKEN", running.token)
        set_results(running)
        yield running
