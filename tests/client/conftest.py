from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.client import kfp_api, observed_run
from support.fake_kfp import FakeKfp


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
