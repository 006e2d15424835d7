"""Fetch files from a folder, an S3 object store or a web server."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kfp_edge.errors import StorageError
from kfp_edge.storage.urls import redacted_url, url_scheme


def fetch(uri: str, folder: Path, stand_ins: Mapping[str, bytes] | None = None) -> Path:
    """Fetch a file, or a folder with everything in it, and return its path on this machine.

    Args:
        uri: A path or `file://` (used in place, not copied), `s3://BUCKET/KEY` or `s3://BUCKET/PREFIX` (see
            `kfp_edge.storage.s3`), `https://` or `http://`.
        folder: Where downloads go, each into a folder of its own.
        stand_ins: For an S3 prefix, what is written in place of objects that are not downloaded, by relative key.

    Raises:
        StorageError: there is nothing at `uri`, it cannot be reached, or the transfer was interrupted.
    """
    scheme = url_scheme(uri)
    if scheme in ("", "file"):
        return _local_path(uri, scheme)
    target = folder / hashlib.sha256(uri.encode()).hexdigest()[:12]
    if scheme == "s3":
        from kfp_edge.storage import s3  # boto3 and requests take longer to import than most files to read

        return s3.download(uri, target, stand_ins)
    if scheme in ("http", "https"):
        from kfp_edge.storage import http_download

        return http_download.download(uri, target)
    raise StorageError(
        f"cannot read {redacted_url(uri)}: use a path, or a file://, s3://, https:// or http:// address."
    )


def read_ends(
    uri: str, is_wanted: Callable[[str], bool], size: int, find_size: Callable[[bytes], int]
) -> dict[str, bytes]:
    """Return the last bytes of the objects with an S3 prefix, as `kfp_edge.storage.s3.read_ends`; of others none.

    Raises:
        StorageError: the store refuses or cannot be reached.
    """
    if url_scheme(uri) != "s3":
        return {}
    from kfp_edge.storage import s3

    return s3.read_ends(uri, is_wanted, size, find_size)


def check_exists(uri: str) -> None:
    """Check that `fetch` finds something at an address, without transferring it.

    Raises:
        StorageError: there is nothing at `uri`, or it cannot be reached.
    """
    scheme = url_scheme(uri)
    if scheme == "s3":
        from kfp_edge.storage import s3

        s3.check_exists(uri)
    elif scheme in ("http", "https"):
        from kfp_edge.storage import http_download

        http_download.check_exists(uri)
    else:
        fetch(uri, Path())  # a local path is used in place, and any other scheme is refused


def _local_path(uri: str, scheme: str) -> Path:
    path = Path(unquote(urlsplit(uri).path)) if scheme else Path(uri).expanduser()
    if not uri or not path.exists():
        raise StorageError(f"there is no file or folder {uri!r}; check the path.")
    return path
