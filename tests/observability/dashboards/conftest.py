"""The hub of the tests of dashboards."""

from collections.abc import Iterator

import pytest

from support.hub_of_sites import Hub, running_hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the metrics of a real server."""
    with running_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub
