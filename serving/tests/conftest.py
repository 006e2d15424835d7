"""Fixtures that the tests of several folders share: models, and servers that no test changes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.bundles import mixed_bundle, numeric_bundle, ruled_bundle
from serving_support.grpc_calls import castable_bundle, grpc_port, stub_to
from serving_support.server_process import PATIENT, Server, running, start
from serving_support.typed_bundles import typed_bundle

# no test asserts on time; Hypothesis does, by default
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a folder with pump 1 (numbers), which the test may change."""
    numeric_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture(scope="session")
def pump_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with pump 1 (numbers), which no test may change."""
    models = tmp_path_factory.mktemp("pump")
    numeric_bundle(models)
    return models


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server, REST and gRPC, of pump 9 and 10 (numbers), mill 1 (mixed columns), ruled, typed, castable 1."""
    models = tmp_path_factory.mktemp("models")
    numeric_bundle(models, version="9")
    numeric_bundle(models, version="10")
    mixed_bundle(models)
    ruled_bundle(models)
    typed_bundle(models)
    castable_bundle(models)
    with running(models, "--grpc-port", "0", *PATIENT) as server:
        yield server


@pytest.fixture(scope="session")
def token_server(pump_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of pump 1, REST and gRPC, that requires the token `s3cret`."""
    token = tmp_path_factory.mktemp("secret") / "token"
    token.write_text("s3cret\n")
    with running(pump_models, "--grpc-port", "0", "--token-file", str(token), *PATIENT) as server:
        yield server


@pytest.fixture
def stub(server: Server) -> Iterator[GRPCInferenceServiceStub]:
    """Return a gRPC client of `server`."""
    with stub_to(grpc_port(server)) as stub:
        yield stub


@pytest.fixture
def start_error() -> Callable[[Path], str]:
    """Return a function that starts a server that must end, and returns why: its error, or that of the first model."""

    def start_and_read_error(models: Path) -> str:
        with start(models) as process:
            try:
                stdout, stderr = process.communicate(timeout=60)
            finally:
                process.kill()
        events = list(map(json.loads, stdout.splitlines()))
        assert (process.returncode, stderr, events[-1]["event"]) == (1, "", "failed")
        return str(next(event for event in events if event["event"] in ("refused", "failed"))["error"])

    return start_and_read_error
