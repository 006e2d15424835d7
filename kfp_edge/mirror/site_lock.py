"""One import or prune at a time: both change which images the registry of a site has."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from kfp_edge.errors import StorageError
from kfp_edge.git.remote import GitRemote
from kfp_edge.images.cache import cache_folder
from kfp_edge.mirror.images import Report
from kfp_edge.storage.files import sha256_bytes

_NAME = "kfp-edge-mirror.lock"


@contextmanager
def locked_site(remote: GitRemote, report: Report) -> Iterator[None]:
    """Let no other import or prune work on a site during the block; wait for the one that does.

    The lock is a file in the git repository of the site, or, where that is on a server, in the cache of this user.

    Args:
        remote: The git repository of the site.
        report: Takes a line if it has to wait.

    Raises:
        StorageError: the file cannot be written.
    """
    path = _lock_file(remote)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}, which keeps imports and prunes apart: {error.strerror}.") from error
    with stream:
        _lock(stream, path, report)
        yield


def _lock(stream: TextIO, path: Path, report: Report) -> None:
    try:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another import or prune of this site, which has locked {path}")
            fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError as error:
        raise StorageError(f"cannot lock {path}: {error.strerror}.") from error


def _lock_file(remote: GitRemote) -> Path:
    if remote.origin is not None:
        return cache_folder() / "mirror" / f"{sha256_bytes(remote.url.encode())[:16]}.lock"
    folder = Path(remote.url)
    below = folder / ".git"
    return (below if below.is_dir() else folder) / _NAME
