import os
from collections.abc import Iterator

import pytest

from support.s3 import S3Server, s3_server


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for all tests of the storage, each of which uses a bucket or keys of its own."""
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
