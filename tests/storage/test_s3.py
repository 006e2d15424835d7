from pathlib import Path

import pytest
import requests

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.s3 import delete, download, presigned_url, read_ends, upload
from support.s3 import S3Server

BUCKET = "contexts"
URI = f"s3://{BUCKET}/builds/a.tar.gz"


@pytest.fixture(scope="module", autouse=True)
def bucket(s3_store: S3Server) -> None:
    s3_store.client().create_bucket(Bucket=BUCKET)


@pytest.fixture(autouse=True)
def environment(s3: S3Server) -> None:
    """Every test has the data connection."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 1_000_000)
    return path


def test_a_presigned_url_gives_the_file_without_credentials(file: Path) -> None:
    upload(file, URI)
    assert requests.get(presigned_url(URI, 60), timeout=10).content == file.read_bytes()


def test_a_presigned_url_works_without_a_region(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    upload(file, URI)
    assert requests.get(presigned_url(URI, 60), timeout=10).status_code == 200


def test_a_presigned_url_that_was_changed_is_refused(file: Path) -> None:
    upload(file, URI)
    url = presigned_url(URI, 60).replace("X-Amz-Expires=60", "X-Amz-Expires=6000")
    assert requests.get(url, timeout=10).status_code == 403


def test_a_deleted_file_is_gone(file: Path) -> None:
    upload(file, URI)
    delete(URI)
    assert requests.get(presigned_url(URI, 60), timeout=10).status_code == 404


def test_the_ends_of_the_objects_with_a_prefix_are_as_long_as_they_have_to_be(file: Path) -> None:
    for name in ("a.parquet", "more/b.parquet", "c.csv"):
        upload(file, f"s3://{BUCKET}/ends/{name}")
    ends = read_ends(f"s3://{BUCKET}/ends", lambda name: name.endswith(".parquet"), 10, lambda end: len(end) + 2)
    assert ends == {"a.parquet": b"890123456789", "more/b.parquet": b"890123456789"}


def test_an_object_whose_key_is_named_has_no_end_to_read(file: Path) -> None:
    upload(file, f"s3://{BUCKET}/one.parquet")
    assert read_ends(f"s3://{BUCKET}/one.parquet", lambda name: True, 10, len) == {}


def test_what_stands_in_for_an_object_is_written_in_its_place(file: Path, tmp_path: Path) -> None:
    for name in ("a", "more/b"):
        upload(file, f"s3://{BUCKET}/press/{name}")
    folder = download(f"s3://{BUCKET}/press", tmp_path / "downloads", {"more/b": b"b"})
    assert (folder / "a").read_bytes() == file.read_bytes()
    assert (folder / "more" / "b").read_bytes() == b"b"


def test_deleting_an_object_that_does_not_exist_is_no_error() -> None:
    delete(f"s3://{BUCKET}/nothing")


def test_an_error_about_refused_credentials_does_not_show_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-one")
    with pytest.raises(KfpEdgeError, match="denied access") as caught:
        upload(file, URI)
    assert "wrong-one" not in str(caught.value)


@pytest.mark.parametrize("uri", ["contexts/a", "s3://contexts", "s3://contexts/", "s3:///a", "https://contexts/a"])
def test_a_uri_without_a_key_is_refused(file: Path, uri: str) -> None:
    with pytest.raises(KfpEdgeError, match="names no object"):
        upload(file, uri)
