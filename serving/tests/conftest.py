"""A real server process for tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving_support.bundles import mixed_bundle, numeric_bundle
from serving_support.server_process import Server, running, start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of pump 9 and 10 (numbers) and mill 1 (mixed columns)."""
    models = tmp_path_factory.mktemp("models")
    numeric_bundle(models, version="9")
    numeric_bundle(models, version="10")
    mixed_bundle(models)
    with running(models) as server:
        yield server


@pytest.fixture
def refusal() -> Callable[[Path], str]:
    """Return a function that starts a server which must refuse to, and returns the sentence it says."""

    def refused(models: Path) -> str:
        with start(models) as process:
            try:
                stdout, stderr = process.communicate(timeout=60)
            finally:
                process.kill()
        last = json.loads(stdout.splitlines()[-1])
        assert (process.returncode, stderr, last["event"]) == (1, "", "refused")
        return str(last["error"])

    return refused
