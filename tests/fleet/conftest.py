"""A git configuration of its own for the tests of a fleet."""

from pathlib import Path

import pytest

from support.git_repositories import isolate


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return isolate(monkeypatch, tmp_path_factory.mktemp("home"))
