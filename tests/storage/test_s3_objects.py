import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.s3_objects import delete, presigned_url, upload
from support.s3 import S3Server, s3_server

BUCKET = "machines"
URI = f"s3://{BUCKET}/contexts/a.tar.gz"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(autouse=True)
def s3(store: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 1_000_000)
    return path


def test_who_has_the_link_gets_the_file_without_credentials(file: Path) -> None:
    upload(file, URI)
    assert requests.get(presigned_url(URI, 60), timeout=10).content == file.read_bytes()


def test_a_link_works_without_a_region(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    upload(file, URI)
    assert requests.get(presigned_url(URI, 60), timeout=10).status_code == 200


def test_a_link_that_was_tampered_with_is_refused(file: Path) -> None:
    upload(file, URI)
    url = presigned_url(URI, 60).replace("X-Amz-Expires=60", "X-Amz-Expires=6000")
    assert requests.get(url, timeout=10).status_code == 403


def test_a_deleted_file_is_gone(file: Path) -> None:
    upload(file, URI)
    delete(URI)
    assert requests.get(presigned_url(URI, 60), timeout=10).status_code == 404


def test_deleting_what_is_not_there_is_no_error() -> None:
    delete(f"s3://{BUCKET}/nothing")


def test_refused_credentials_are_told_and_not_shown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-one")
    with pytest.raises(KfpEdgeError, match="denied access") as caught:
        upload(file, URI)
    assert "wrong-one" not in str(caught.value)


@pytest.mark.parametrize("uri", ["machines/a", "s3://machines", "s3://machines/", "s3:///a", "https://machines/a"])
def test_an_address_that_names_no_object_is_refused(file: Path, uri: str) -> None:
    with pytest.raises(KfpEdgeError, match="names no object"):
        upload(file, uri)
