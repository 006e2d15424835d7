"""Single blobs, manifests and tags of a registry (OCI Distribution Specification), each as the bytes that it is."""

import hashlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import requests

from kfp_edge.errors import ImageError, StorageError
from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.media_types import MANIFEST_TYPES
from kfp_edge.images.registry_session import RegistrySession, describe_status
from kfp_edge.storage.files import sha256_bytes

_CHUNK_SIZE = 1 << 20


def has_blob(session: RegistrySession, digest: str) -> bool:
    """Whether a repository has a blob; a registry may have it in another repository only.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    return session.request("HEAD", f"blobs/{digest}").status_code == HTTPStatus.OK


def has_manifest(session: RegistrySession, digest: str, media_type: str) -> bool:
    """Whether a repository has a manifest.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    response = session.request("HEAD", f"manifests/{digest}", headers={"Accept": media_type})
    return response.status_code == HTTPStatus.OK


def get_manifest(session: RegistrySession, digest: str) -> bytes | None:
    """Return a manifest byte by byte, None if the repository does not have it.

    Raises:
        ImageError: the registry refuses, cannot be reached, or sends other bytes.
    """
    response = session.request("GET", f"manifests/{digest}", headers={"Accept": ", ".join(MANIFEST_TYPES)})
    if response.status_code == HTTPStatus.NOT_FOUND:
        return None
    if response.status_code != HTTPStatus.OK:
        raise ImageError(f"{session.repository} does not give the manifest {digest} ({describe_status(response)}).")
    if f"sha256:{sha256_bytes(response.content)}" != digest:
        raise ImageError(f"{session.repository} sent other bytes than those of {digest}; delete that image there.")
    return response.content


def download_blob(session: RegistrySession, blob: Descriptor, target: Path) -> None:
    """Download a blob; what an interrupted download has left in the file is not downloaded again.

    Raises:
        ImageError: the registry does not have it, refuses, cannot be reached, or sends other bytes.
        StorageError: the disk is full.
    """
    if is_blob(target, blob):
        return
    left = target.stat().st_size if target.exists() else 0
    _download(session, blob, target, start=left if left < blob["size"] else 0)
    if left and not is_blob(target, blob):  # what was left was of something else
        _download(session, blob, target, start=0)
    if not is_blob(target, blob):
        target.unlink()
        raise ImageError(f"{session.repository} sent other bytes than those of {blob['digest']}; push the image again.")


def is_blob(file: Path, blob: Descriptor) -> bool:
    """Whether a file is a blob, by its size and its digest."""
    if not file.is_file() or file.stat().st_size != blob["size"]:
        return False
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}" == blob["digest"]


def mount_blob(session: RegistrySession, digest: str, source: str) -> bool:
    """Make a blob of another repository of the registry one of this ("Mounting a blob from another repository").

    Args:
        session: A session with the repository that gets it.
        digest: The digest of the blob.
        source: The name of the repository that has it, without the host.

    Returns:
        Whether the registry did so; it may not have it there, or not know how.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    params = {"mount": digest, "from": source}
    response = session.request("POST", "blobs/uploads/", params=params, also_reads=source)
    if response.status_code == HTTPStatus.ACCEPTED and (location := response.headers.get("Location")):
        session.cancel_upload(location)  # the upload that it offers in place of the mount
    return response.status_code == HTTPStatus.CREATED


def upload_blob(session: RegistrySession, blob: Descriptor, read: Callable[[], BinaryIO]) -> None:
    """Upload a blob; the registry compares the bytes with the digest.

    Args:
        session: A session with the repository that gets it.
        blob: What names it.
        read: Opens its bytes.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    response = session.request("POST", "blobs/uploads/")
    location = response.headers.get("Location")
    if response.status_code == HTTPStatus.ACCEPTED and location:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob["size"])}
        response = session.request("PUT", location, body=read, headers=headers, params={"digest": blob["digest"]})
    if response.status_code != HTTPStatus.CREATED:
        raise ImageError(f"{session.repository} does not take the blob {blob['digest']} ({describe_status(response)}).")


def put_manifest(session: RegistrySession, data: bytes, media_type: str, tag: str) -> None:
    """Write a manifest, byte by byte, and tag it.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    response = session.request("PUT", f"manifests/{tag}", body=data, headers={"Content-Type": media_type})
    if response.status_code != HTTPStatus.CREATED:
        raise ImageError(f"{session.repository} does not take the manifest {tag} ({describe_status(response)}).")


def list_tags(session: RegistrySession) -> list[str]:
    """Return the tags of a repository, none where there is no such repository.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    tags: list[str] = []
    path = "tags/list"
    while path:
        response = session.request("GET", path)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return []
        if response.status_code != HTTPStatus.OK:
            raise ImageError(f"{session.repository} does not list its tags ({describe_status(response)}).")
        tags += response.json().get("tags") or []
        path = response.links.get("next", {}).get("url", "")
    return sorted(tags)


def delete_manifest(session: RegistrySession, digest: str) -> None:
    """Delete a manifest with its tags; one that is not there is no error.

    Raises:
        ImageError: the registry refuses, or cannot be reached.
    """
    response = session.request("DELETE", f"manifests/{digest}")
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        raise ImageError(
            f"{session.repository} does not let images be deleted; allow it in the registry's configuration "
            "(storage.delete.enabled of docker-registry)."
        )
    if response.status_code not in (HTTPStatus.ACCEPTED, HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        raise ImageError(f"{session.repository} does not delete {digest} ({describe_status(response)}).")


def _download(session: RegistrySession, blob: Descriptor, target: Path, *, start: int) -> None:
    headers = {"Range": f"bytes={start}-"} if start else {}
    with session.request("GET", f"blobs/{blob['digest']}", headers=headers, stream=True) as response:
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise ImageError(
                f"{session.repository} does not give the blob {blob['digest']} ({describe_status(response)}); "
                "push the image again."
            )
        _save(session, response, target, append=response.status_code == HTTPStatus.PARTIAL_CONTENT)


def _save(session: RegistrySession, response: requests.Response, target: Path, *, append: bool) -> None:
    chunks = _chunks(session, response)
    try:
        with target.open("ab" if append else "wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}; free some space and run again.") from error


def _chunks(session: RegistrySession, response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(_CHUNK_SIZE)
    except requests.RequestException:  # an OSError, too
        raise ImageError(
            f"the download from {session.repository} was interrupted; run again, and it goes on where it ended."
        ) from None
