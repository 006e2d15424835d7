"""Single blobs and manifests of a real registry arrive as the bytes that they are, and downloads go on."""

import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.errors import ImageError
from kfp_edge.images.blobs import (
    download_blob,
    get_manifest,
    has_blob,
    list_tags,
    mount_blob,
    put_manifest,
    upload_blob,
)
from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.media_types import INDEX_TYPE
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry_session import RegistrySession, open_session
from kfp_edge.storage.files import canonical_json, sha256_bytes
from support.registry import RegistryServer
from support.registry_proxy import FaultyRegistry

CONTENT = os.urandom(300_000)
BLOB: Descriptor = {
    "mediaType": "application/octet-stream",
    "digest": f"sha256:{sha256_bytes(CONTENT)}",
    "size": len(CONTENT),
}


def new_session(host: str) -> Iterator[RegistrySession]:
    with open_session(ImageRepository("docker", f"{host}/test-{uuid.uuid4().hex}")) as session:
        yield session


@pytest.fixture
def session(registry: RegistryServer) -> Iterator[RegistrySession]:
    yield from new_session(registry.host)


@pytest.fixture
def stored(session: RegistrySession) -> RegistrySession:
    """A session with a repository that has the blob."""
    upload_blob(session, BLOB, lambda: io.BytesIO(CONTENT))
    return session


def test_a_blob_comes_back_as_it_was(stored: RegistrySession, tmp_path: Path) -> None:
    download_blob(stored, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


def test_a_download_goes_on_where_it_ended(
    faulty: FaultyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in faulty.server.env.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "blob").write_bytes(CONTENT[:200_000])
    for session in new_session(faulty.server.host):
        upload_blob(session, BLOB, lambda: io.BytesIO(CONTENT))
        download_blob(session, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"other", bytes(len(CONTENT)), CONTENT + b"more"], ids=["less", "as much", "more"])
def test_what_is_left_of_another_download_is_not_used(stored: RegistrySession, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "blob").write_bytes(left)
    download_blob(stored, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


def test_a_registry_that_sends_other_bytes(stored: RegistrySession, tmp_path: Path) -> None:
    shorter: Descriptor = {**BLOB, "size": len(CONTENT) - 1}
    with pytest.raises(ImageError, match="sent other bytes than those of sha256:"):
        download_blob(stored, shorter, tmp_path / "blob")
    assert not (tmp_path / "blob").exists()


def test_bytes_of_another_digest_are_refused(session: RegistrySession) -> None:
    with pytest.raises(ImageError, match=r"does not take the blob .*DIGEST_INVALID"):
        upload_blob(session, BLOB, lambda: io.BytesIO(bytes(len(CONTENT))))
    assert not has_blob(session, BLOB["digest"])


def test_a_blob_of_another_repository_is_mounted(stored: RegistrySession, registry: RegistryServer) -> None:
    for other in new_session(registry.host):
        assert not has_blob(other, BLOB["digest"])
        assert mount_blob(other, BLOB["digest"], stored.name)
        assert has_blob(other, BLOB["digest"])
        assert not mount_blob(other, f"sha256:{'0' * 64}", stored.name)


def test_a_manifest_keeps_every_byte(session: RegistrySession) -> None:
    data = canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}) + b"\n  "
    put_manifest(session, data, INDEX_TYPE, "1.4.0")
    assert get_manifest(session, f"sha256:{sha256_bytes(data)}") == data
    assert get_manifest(session, f"sha256:{'0' * 64}") is None
    assert list_tags(session) == ["1.4.0"]


def test_a_repository_that_does_not_exist_has_no_tags(session: RegistrySession) -> None:
    assert list_tags(session) == []
