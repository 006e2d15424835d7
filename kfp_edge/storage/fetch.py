"""Bringing files here from wherever they lie: a folder, an S3 object store, a web server."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import boto3
import botocore.exceptions as aws
import requests
from boto3.exceptions import Boto3Error
from botocore.config import Config

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.files import new_folder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_CHUNK = 1 << 20
_ATTEMPTS = 3
_BACKOFF_SECONDS = 0.3
_CONNECT_SECONDS = 10
_READ_SECONDS = 60


def fetch(uri: str, folder: Path) -> Path:
    """Bring a file, or a folder with all in it, to this machine and return where it lies now.

    Args:
        uri: A path or `file://` (used in place, not copied), `s3://BUCKET/KEY` or `s3://BUCKET/PREFIX`,
            `https://` or `http://`. S3's endpoint is `AWS_S3_ENDPOINT` (an OpenShift AI data connection)
            or `AWS_ENDPOINT_URL`, its CA `AWS_CA_BUNDLE`, its credentials those that boto3 finds.
        folder: Where downloads go, each into a folder of its own.

    Raises:
        KfpEdgeError: there is nothing at `uri`, it cannot be reached, or it was cut short on the way.
    """
    match = _SCHEME.match(uri)
    scheme = match[1].lower() if match else ""
    if scheme in ("", "file"):
        return _local(uri, scheme)
    own = folder / hashlib.sha256(uri.encode()).hexdigest()[:12]
    if scheme == "s3":
        return _fetch_s3(uri, own)
    if scheme in ("http", "https"):
        return _fetch_http(uri, own)
    raise KfpEdgeError(
        f"cannot read {redacted_url(uri)}: use a path, or a file://, s3://, https:// or http:// address."
    )


def redacted_url(uri: str) -> str:
    """Return `uri` without user, password, query and fragment, which may hold secrets."""
    if not _SCHEME.match(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _local(uri: str, scheme: str) -> Path:
    path = Path(unquote(urlsplit(uri).path)) if scheme else Path(uri).expanduser()
    if not uri or not path.exists():
        raise KfpEdgeError(f"there is no file or folder {uri!r}; check the path.")
    return path


def _file_name(path: str) -> str:
    name = PurePosixPath(path).name
    return "download" if name in ("", "..") or "\0" in name else name


# --- S3


def _fetch_s3(uri: str, own: Path) -> Path:
    bucket, _, key = uri.partition("://")[2].partition("/")
    if not bucket:
        raise KfpEdgeError(f"{uri} names no bucket; write s3://BUCKET/KEY.")
    with s3_errors(uri, bucket):
        client = s3_client()
        with new_folder(own) as temporary:
            name = _file_name(key or bucket)
            if key.endswith("/") or not key or not _download_object(client, bucket, key, temporary / name):
                _download_prefix(client, uri, temporary / name)
        return own / name


def s3_client() -> "S3Client":
    """Return a client of the object store that the environment names (see `fetch`)."""
    endpoint = os.environ.get("AWS_S3_ENDPOINT") or None
    if endpoint and not _SCHEME.match(endpoint):
        endpoint = f"https://{endpoint}"
    config = Config(
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        # what stores other than Amazon's understand too
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version="s3v4",
    )
    # A session of its own, since boto3's default one remembers the first credentials it saw.
    return boto3.Session().client("s3", endpoint_url=endpoint, config=config)


def _download_object(client: "S3Client", bucket: str, key: str, target: Path) -> bool:
    """Download one object; False when there is none with this very key."""
    try:
        client.download_file(bucket, key, str(target))
    except aws.ClientError as error:
        if _status(error) == 404:
            return False
        raise
    return True


def _download_prefix(client: "S3Client", uri: str, target: Path) -> None:
    bucket, _, key = uri.partition("://")[2].partition("/")
    prefix = f"{key.rstrip('/')}/" if key else ""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    if not keys:
        raise KfpEdgeError(f"there is nothing at {uri}; check the key.")
    for each in keys:
        relative = PurePosixPath(each.removeprefix(prefix))
        if relative.is_absolute() or ".." in relative.parts:
            raise KfpEdgeError(f"the object s3://{bucket}/{each} has a key that leads out of its folder; rename it.")
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, each, str(path))


@contextmanager
def s3_errors(uri: str, bucket: str) -> Iterator[None]:
    """Tell in one sentence what the object store refuses in the block.

    Raises:
        KfpEdgeError: in place of the errors of boto3.
    """
    try:
        yield
    except aws.ClientError as error:
        raise KfpEdgeError(_s3_refusal(error, uri, bucket)) from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
        raise KfpEdgeError(
            f"there are no credentials for {uri}; attach the data connection, or set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY."
        ) from error
    except aws.SSLError as error:
        raise KfpEdgeError(
            f"the certificate of the object store of {uri} is not trusted; set AWS_CA_BUNDLE to its CA."
        ) from error
    except (aws.IncompleteReadError, aws.ResponseStreamingError, Boto3Error) as error:
        raise KfpEdgeError(f"the transfer of {uri} was cut short; run again.") from error
    except (aws.HTTPClientError, aws.ConnectionError) as error:
        raise KfpEdgeError(
            f"the object store of {uri} cannot be reached; check AWS_S3_ENDPOINT and the network."
        ) from error
    except (aws.BotoCoreError, ValueError) as error:
        raise KfpEdgeError(f"cannot use {uri}: the address or AWS_S3_ENDPOINT is not valid.") from error


def _s3_refusal(error: aws.ClientError, uri: str, bucket: str) -> str:
    code = error.response.get("Error", {}).get("Code", "no code")
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r} on the object store of {uri}; check the name."
    if _status(error) in (401, 403):
        return (
            f"the object store denied access to {uri} ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
            "and what they may do."
        )
    if _status(error) == 404:
        return f"there is nothing at {uri}; check the key."
    return f"the object store refuses {uri} ({code}); try again, or ask who runs it."


def _status(error: aws.ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


# --- HTTP


class _Interrupted(KfpEdgeError):
    """A failure that may be gone at the next attempt."""


def _fetch_http(url: str, own: Path) -> Path:
    name = _file_name(unquote(redacted_url(url).partition("://")[2].partition("/")[2]))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with new_folder(own) as temporary:
                _download_url(url, temporary / name)
            break
        except _Interrupted:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_BACKOFF_SECONDS * 2**attempt)
    return own / name


def _download_url(url: str, target: Path) -> None:
    with (
        _http_errors(url),
        requests.get(url, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as response,
    ):
        _check_answer(response.status_code, url)
        with target.open("wb") as stream:
            # urllib3 compares what came with Content-Length, and raises when it was less.
            for chunk in response.iter_content(_CHUNK):
                stream.write(chunk)


def _check_answer(status: int, url: str) -> None:
    if status in (404, 410):
        raise KfpEdgeError(f"there is nothing at {redacted_url(url)} (HTTP {status}); check the address.")
    if status in (401, 403):
        raise KfpEdgeError(f"the server denied access to {redacted_url(url)} (HTTP {status}); check the credentials.")
    if status == 429 or status >= 500:
        raise _Interrupted(
            f"the server could not give {redacted_url(url)} (HTTP {status}, {_ATTEMPTS} times); try later."
        )
    if status != 200:
        raise KfpEdgeError(
            f"the server answered HTTP {status} for {redacted_url(url)}, which is no file; check the address."
        )


@contextmanager
def _http_errors(url: str) -> Iterator[None]:
    """Tell what went wrong; the causes are not chained, since their texts hold the whole URL."""
    try:
        yield
    except requests.exceptions.SSLError:
        raise KfpEdgeError(
            f"the certificate of {redacted_url(url)} is not trusted; set REQUESTS_CA_BUNDLE to its CA."
        ) from None
    except requests.exceptions.ChunkedEncodingError:
        raise _Interrupted(
            f"the download of {redacted_url(url)} was cut short, {_ATTEMPTS} times; try later."
        ) from None
    except (requests.ConnectionError, requests.Timeout):
        raise _Interrupted(
            f"the server of {redacted_url(url)} cannot be reached; check the address and the network."
        ) from None
    except requests.RequestException:
        raise KfpEdgeError(f"cannot read {redacted_url(url)}: the address is not valid.") from None
