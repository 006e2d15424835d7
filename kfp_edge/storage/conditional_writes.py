"""Files and objects that several processes change: a write takes effect only if nobody else has written since the read.

In an object store these are conditional requests (RFC 9110, section 13: `If-Match`, `If-None-Match`), in a folder a
lock beside the file.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kfp_edge.errors import StorageError
from kfp_edge.storage import s3
from kfp_edge.storage.files import sha256_bytes, write_file


class StoredVersion(NamedTuple):
    """What was read: the contents, and the entity tag that the next write is compared with."""

    data: bytes
    etag: str


def read_version(address: str) -> StoredVersion | None:
    """Return the contents of a path or of `s3://BUCKET/KEY`, None if there is nothing yet.

    Raises:
        StorageError: the object store or the file system refuses or cannot be reached.
    """
    if address.startswith("s3://"):
        stored = s3.read_with_etag(address)
        return None if stored is None else StoredVersion(*stored)
    try:
        data = Path(address).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {address}: {error.strerror}.") from error
    return StoredVersion(data, sha256_bytes(data))


def write_if_unchanged(address: str, data: bytes, before: StoredVersion | None) -> bool:
    """Write to a path or to `s3://BUCKET/KEY` unless somebody else has written since `before` was read.

    Args:
        address: The path or the URI.
        data: The new contents.
        before: What was read there; None if there was nothing.

    Returns:
        Whether it was written.

    Raises:
        StorageError: the object store or the file system refuses or cannot be reached.
    """
    etag = None if before is None else before.etag
    if address.startswith("s3://"):
        return s3.write_if(address, data, etag)
    with _lock(Path(address)):
        stored = read_version(address)
        if (None if stored is None else stored.etag) != etag:
            return False
        write_file(Path(address), data)
        return True


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file; the system releases it when the process ends, however that happens."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError as error:
        raise StorageError(f"cannot write {lock}: {error.strerror}.") from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
