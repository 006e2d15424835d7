"""An empty GitOps repository, and nothing of this machine's git."""

from pathlib import Path

import pytest

from support import git_repositories
from support.git_repositories import bare


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git_repositories.isolate(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bare(tmp_path / "gitops.git")
