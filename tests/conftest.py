"""What holds for every test: the markers `containers` and `root`, and the servers that several folders use."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support import registry as registries
from support.container_storage import ContainerStorage
from support.registry import RegistryServer
from support.registry_proxy import FaultyRegistry, faulty_registry
from support.s3 import S3Server, s3_server

#: `make test-cluster` runs these: they need a cluster. pytest runs them if they are named, and never by itself.
collect_ignore = ["cluster"]

# no test asserts on time; Hypothesis does, by default
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

_STORAGE = pytest.StashKey[ContainerStorage]()
#: Stands before podman and buildah on the PATH of a test without the marker `containers`.
_GUARD = Path(__file__).parent / "support" / "guard"


def pytest_configure() -> None:
    """Let Ctrl-C work: a shell starts background jobs with SIGINT ignored, which the programs of our tests inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that need root for anybody else."""
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give a test that is marked `containers` the storage of this worker, and let no other test start a container."""
    with pytest.MonkeyPatch.context() as patched:
        if (marker := item.get_closest_marker("containers")) is None:
            patched.setenv("PATH", f"{_GUARD}{os.pathsep}{os.environ['PATH']}")
        elif marker.kwargs.get("storage") != "machine":
            if _STORAGE not in item.config.stash:
                item.config.stash[_STORAGE] = ContainerStorage()
            patched.setenv("CONTAINERS_STORAGE_CONF", str(item.config.stash[_STORAGE].configuration))
        return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the storage of this worker."""
    if storage := config.stash.get(_STORAGE, None):
        storage.remove()


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry with a login and TLS of its own CA; tests have repositories or tags of their own."""
    with registries.registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def registry(registry_server: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> RegistryServer:
    """The registry, with the environment variables that say how it is reached."""
    for name, value in registry_server.env.items():
        monkeypatch.setenv(name, value)
    return registry_server


@pytest.fixture(scope="session")
def _faulty_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRegistry]:
    with faulty_registry(tmp_path_factory.mktemp("faulty")) as running:
        yield running


@pytest.fixture
def faulty(_faulty_registry: FaultyRegistry) -> Iterator[FaultyRegistry]:
    """A registry that answers as its `fault` says, and that records its requests."""
    _faulty_registry.requests.clear()
    yield _faulty_registry
    _faulty_registry.fault = None


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for all tests, each of which uses a bucket or keys of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_store: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, with an environment that has its data connection and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_store.env.items():
        monkeypatch.setenv(name, value)
    return s3_store


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine has no credentials of an object store."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
